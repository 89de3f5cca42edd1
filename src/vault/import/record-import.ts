import { eq } from 'drizzle-orm'
import { recordAudit } from '../../audit/record.ts'
import type { Database } from '../../database/connect.ts'
import { vaults } from '../../database/tables/vault.ts'
import { vaultImports, vaultKeys } from '../../database/tables/vault-key.ts'
import { NameTaken, Refusal } from '../../refusal.ts'
import { factsOf, keyOf, lockPlaces, placeOf, requireFreePlace } from '../location.ts'
import type { Vault } from '../vault.ts'

/** What a job that imports a vault was given, its secrets sealed. */
export type VaultImport = typeof vaultImports.$inferSelect

/** The vault is in the catalogue, in another place than the one that was looked at. */
export class VaultAlreadyKnown extends Refusal {
  constructor(existing: Vault, place: string) {
    super(`The vault in ${place} is known already: it is vault "${existing.name}", in ${placeOf(existing.location)}.`, [
      'To make known what its catalogue has lost, use rebuildCatalogue on that vault.',
    ])
  }
}

/** What a job was given to import; undefined for one that makes known again what a known vault holds. */
export async function findVaultImport(database: Database, jobId: string): Promise<VaultImport | undefined> {
  const [given] = await database.select().from(vaultImports).where(eq(vaultImports.jobId, jobId))
  return given
}

/** Forgets what a job was given: the catalogue has it, or nobody needs it any more. */
export async function forgetVaultImport(tx: Database, jobId: string): Promise<void> {
  await tx.delete(vaultImports).where(eq(vaultImports.jobId, jobId))
}

export interface RecordImportedVault {
  given: VaultImport
  /** As the vault's own header says. */
  vaultId: string
  createdAt: Date
  /** Keys that it had before, oldest first, with their secret halves sealed. */
  formerKeys: { recipient: string; sealedIdentity: string }[]
  actor: string
  now: Date
}

/**
 * Adds a vault to the catalogue under its own id, with its keys; answers the one that an earlier attempt has added. Throws
 * VaultAlreadyKnown, NameTaken, or what requireFreePlace does.
 */
export async function recordImportedVault(
  database: Database,
  { given, vaultId, createdAt, formerKeys, actor, now }: RecordImportedVault,
): Promise<Vault> {
  const { name, location, recipient, sealedIdentity } = given
  return database.transaction(async (tx) => {
    await lockPlaces(tx)
    const existing = await tx.select().from(vaults)
    const same = existing.find(({ id }) => id === vaultId)
    if (same && same.locationKey === keyOf(location)) return same
    if (same) throw new VaultAlreadyKnown(same, placeOf(location))
    if (existing.some((vault) => vault.name === name)) throw new NameTaken('vault', name)
    await requireFreePlace(tx, location)
    const [added] = await tx
      .insert(vaults)
      .values({
        id: vaultId,
        name,
        kind: location.kind,
        location,
        locationKey: keyOf(location),
        recipient,
        sealedIdentity,
        // Whoever imports it has its recovery key.
        recoveryKeyExportedAt: now,
        createdAt,
      })
      .returning()
    if (!added) throw new Error('A vault that was inserted did not come back.')
    await recordFormerKeys(tx, { vaultId, formerKeys, createdAt, now })
    await recordAudit(tx, {
      actor,
      action: 'vaultImported',
      subject: { kind: 'Vault', id: vaultId, name },
      after: { recipient, immutability: added.immutability, softDeleteDays: added.softDeleteDays },
      detail: { ...factsOf(location), job: given.jobId },
      now,
    })
    return added
  })
}

/** Keeps keys that a vault had before its present one; those that are known are left as they are. */
export async function recordFormerKeys(
  tx: Database,
  { vaultId, formerKeys, createdAt, now }: Pick<RecordImportedVault, 'vaultId' | 'formerKeys' | 'createdAt' | 'now'>,
): Promise<void> {
  if (formerKeys.length === 0) return
  const rows = formerKeys.map((key) => ({ ...key, vaultId, state: 'FORMER' as const, createdAt, retiredAt: now }))
  await tx.insert(vaultKeys).values(rows).onConflictDoNothing()
}
