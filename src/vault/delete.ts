import { and, asc, count, eq, gt, inArray } from 'drizzle-orm'
import { recordAudit } from '../audit/record.ts'
import type { Database } from '../database/connect.ts'
import { carryOut } from '../database/rehearse.ts'
import { backupInstances } from '../database/tables/backup-instance.ts'
import { jobs } from '../database/tables/job.ts'
import { recoveryPoints } from '../database/tables/recovery-point.ts'
import { vaultOrphans, vaults } from '../database/tables/vault.ts'
import { isPending } from '../job/states.ts'
import { ConfirmationMismatch, NotFound, Refusal } from '../refusal.ts'
import { findReplicatedVaults } from './find-replicated.ts'
import { ImportAlreadyRunning } from './import/import-vault.ts'
import { KeyRotationRunning } from './key/rotate.ts'
import { factsOf, placeOf } from './location.ts'
import type { Vault } from './vault.ts'

/** What keeps a vault from being deleted. */
interface Contents {
  instanceCount: number
  recoveryPointCount: number
  /** Folders with bytes in it that no recovery point knows. */
  orphanCount: number
  /** The first 50 by name. */
  instanceIds: string[]
}

/** The vault still keeps something. */
export class VaultNotEmpty extends Refusal {
  readonly contents: Contents

  constructor(vault: Vault, contents: Contents) {
    const { instanceCount, recoveryPointCount, orphanCount } = contents
    super(
      `Vault "${vault.name}" is not empty: backup instances ${instanceCount}, soft-deleted ones included, recovery points ${recoveryPointCount}, folders without recovery point ${orphanCount}.`,
      [
        ...(instanceCount > 0 ? ['Delete its backup instances, and wait until they are purged.'] : []),
        ...(instanceCount === 0 && recoveryPointCount > 0
          ? ['Wait until the time of its recovery points is over: they are second copies of what other vaults keep.']
          : []),
        ...(orphanCount > 0 ? ["Look at the vault's orphans, and remove by hand what nobody needs."] : []),
      ],
    )
    this.contents = contents
  }
}

/** Other vaults name this one for the second copies of what they keep. */
export class VaultIsReplica extends Refusal {
  /** The vaults that name it. */
  readonly vaultIds: readonly string[]

  constructor(vault: Vault, naming: readonly Vault[]) {
    super(
      `Vault "${vault.name}" gets the second copies of what is kept in "${naming.map(({ name }) => name).join('", "')}".`,
      ['Have them name another replica, or none, with setVaultReplica.'],
    )
    this.vaultIds = naming.map(({ id }) => id)
  }
}

/** Nobody but this service has the vault's key, and something may be sealed for it. */
export class RecoveryKeyNotExported extends Refusal {
  readonly vaultId: string

  constructor(vault: Vault) {
    super(
      `The recovery key of vault "${vault.name}" was never exported: what lies in its place could be opened by nobody any more.`,
      ['Export it with exportRecoveryKey, then delete the vault.'],
    )
    this.vaultId = vault.id
  }
}

export interface DeleteVault {
  vaultId: string
  /** The vault's name, typed by whoever deletes it. */
  confirmName: string
  /** All is checked and answered, and nothing is changed. */
  dryRun: boolean
  actor: string
  now: Date
}

/**
 * Forgets an empty vault and its key; its place is not touched, and its jobs stay. A protection that is being configured
 * in it at the same time either comes first, and the vault is not empty, or finds no vault. Throws VaultNotEmpty,
 * VaultIsReplica while another vault names it, ImportAlreadyRunning and KeyRotationRunning. The catalogue may not know all
 * that lies there: throws RecoveryKeyNotExported where this key is the only one of a vault that was ever set up.
 */
export async function deleteVault(
  database: Database,
  { vaultId, confirmName, dryRun, actor, now }: DeleteVault,
): Promise<Vault> {
  return carryOut(database, { dryRun }, async (tx) => {
    const [vault] = await tx.select().from(vaults).where(eq(vaults.id, vaultId)).for('update')
    if (!vault) throw new NotFound('vault')
    if (confirmName !== vault.name) throw new ConfirmationMismatch('vault', vault.name)
    const naming = (await findReplicatedVaults(tx, [vaultId])).get(vaultId)
    if (naming) throw new VaultIsReplica(vault, naming)
    const contents = await contentsOf(tx, vaultId)
    if (contents.instanceCount + contents.recoveryPointCount + contents.orphanCount > 0) {
      throw new VaultNotEmpty(vault, contents)
    }
    await refuseBusy(tx, vault)
    if (vault.capabilities !== null && vault.recoveryKeyExportedAt === null) throw new RecoveryKeyNotExported(vault)
    await tx.delete(vaults).where(eq(vaults.id, vaultId))
    await recordAudit(tx, {
      actor,
      action: 'deleteVault',
      subject: { kind: 'Vault', id: vault.id, name: vault.name },
      before: {
        ...factsOf(vault.location),
        softDeleteDays: vault.softDeleteDays,
        immutability: vault.immutability,
        isRecoveryKeyExported: vault.recoveryKeyExportedAt !== null,
      },
      now,
    })
    return vault
  })
}

/** While what lies there is being made known, or gets another key. */
async function refuseBusy(tx: Database, vault: Vault): Promise<void> {
  const rotation = `rotate:${vault.id}`
  const imports = [`import:${vault.id}`, `import:${vault.locationKey}`]
  const [job] = await tx
    .select({ id: jobs.id, exclusiveKey: jobs.exclusiveKey })
    .from(jobs)
    .where(and(isPending, inArray(jobs.exclusiveKey, [rotation, ...imports])))
    .limit(1)
  if (!job) return
  throw job.exclusiveKey === rotation
    ? new KeyRotationRunning(vault, job.id)
    : new ImportAlreadyRunning(placeOf(vault.location), job.id)
}

async function contentsOf(tx: Database, vaultId: string): Promise<Contents> {
  const isHere = eq(backupInstances.vaultId, vaultId)
  const instances = await tx
    .select({ id: backupInstances.id })
    .from(backupInstances)
    .where(isHere)
    .orderBy(asc(backupInstances.name))
    .limit(50)
  const [points] = await tx.select({ count: count() }).from(recoveryPoints).where(eq(recoveryPoints.vaultId, vaultId))
  const [orphans] = await tx
    .select({ count: count() })
    .from(vaultOrphans)
    .where(and(eq(vaultOrphans.vaultId, vaultId), gt(vaultOrphans.sizeBytes, 0)))
  return {
    instanceCount: await tx.$count(backupInstances, isHere),
    recoveryPointCount: points?.count ?? 0,
    orphanCount: orphans?.count ?? 0,
    instanceIds: instances.map(({ id }) => id),
  }
}
