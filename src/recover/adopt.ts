import { and, asc, eq, inArray } from 'drizzle-orm'
import { recordAudit } from '../audit/record.ts'
import type { Database } from '../database/connect.ts'
import { jobs } from '../database/tables/job.ts'
import { type VaultLocation, vaults } from '../database/tables/vault.ts'
import { keyFileCanary, vaultImports, vaultKeys } from '../database/tables/vault-key.ts'
import { requestCancel } from '../job/cancel.ts'
import { nothingToReport, type ReportBatch } from '../job/settle/report.ts'
import { settle } from '../job/settle/settle.ts'
import { isPending, type JobOperation } from '../job/states.ts'
import { Refusal } from '../refusal.ts'
import type { SecretBox } from '../secret/secret-box.ts'
import type { StorageLocation } from '../storage/open.ts'
import { keyOf, placeOf, requireFreePlace } from '../vault/location.ts'
import { RecoveryRefused } from './refused.ts'

const actor = 'recovery'

/**
 * Makes the vault that was recovered from be where it was found, which may be another place than on the machine of before.
 * Refuses a place where the copy has another vault or a storage account. Answers the key that the copy has for it.
 */
export async function moveVault(
  database: Database,
  { vaultId, found, secrets, now }: { vaultId: string; found: StorageLocation; secrets: SecretBox; now: Date },
): Promise<{ recipient: string }> {
  const [vault] = await database.select().from(vaults).where(eq(vaults.id, vaultId))
  if (!vault) throw new RecoveryRefused('The copy does not know the vault that it lies in.')
  const location = locationOf(found, { secrets, now })
  await requireFreePlace(database, location, { except: vaultId }).catch((cause) => {
    if (!(cause instanceof Refusal)) throw cause
    const advice = 'So the copy has it: give this vault by another path, or mount each where it was.'
    throw new RecoveryRefused(`${cause.message} ${advice}`)
  })
  await database
    .update(vaults)
    .set({ location, locationKey: keyOf(location) })
    .where(eq(vaults.id, vaultId))
  await recordAudit(database, {
    actor,
    action: 'metadataRecovered',
    subject: { kind: 'Vault', id: vault.id, name: vault.name },
    before: { place: placeOf(vault.location) },
    after: { place: placeOf(location) },
    now,
  })
  return { recipient: vault.recipient }
}

function locationOf(found: StorageLocation, { secrets, now }: { secrets: SecretBox; now: Date }): VaultLocation {
  if (found.kind === 'DIRECTORY') return found
  const { secretAccessKey, ...bucket } = found
  return { ...bucket, sealedSecretAccessKey: secrets.seal(secretAccessKey), secretSetAt: now.toISOString() }
}

/** What writes into a vault, or removes from it. */
const endedInPlace: readonly JobOperation[] = ['BACKUP', 'COPY', 'BACK_UP_METADATA', 'EXPIRE', 'PURGE']

/**
 * Ends what was writing into vaults, or removing from them, when the copy was made, and leaves alone whatever it has written:
 * since then it may have come to its end, and what it made may be the newest that there is. The clock begins it anew, as
 * other jobs. Answers how many of them were backups.
 */
export async function endVaultJobs(database: Database): Promise<{ backups: number }> {
  const pending = await database
    .select({ id: jobs.id, operation: jobs.operation })
    .from(jobs)
    .where(and(isPending, inArray(jobs.operation, [...endedInPlace])))
    .orderBy(asc(jobs.createdAt))
  for (const { id } of pending) {
    await database.transaction((tx) =>
      settle(tx, and(eq(jobs.id, id), isPending), { kind: 'cancelled' }, { ...nothingToReport, ...endedByRecovery }),
    )
  }
  return { backups: pending.filter(({ operation }) => operation === 'BACKUP').length }
}

const endedByRecovery: Pick<ReportBatch, 'change' | 'events'> = {
  change: { mayHaveLeftovers: false },
  events: [{ type: 'NOTED', data: { message: 'The service was recovered: what became of this job is not known.' } }],
}

/**
 * Takes back the restores that were pending in the copy: nobody knows what became of them, and who asked for one looks after
 * it. What they had begun is cleaned up by a worker. What writes into no vault is done again from its beginning.
 */
export async function cancelRestores(database: Database, now: Date): Promise<number> {
  const pending = await database
    .select({ id: jobs.id })
    .from(jobs)
    .where(and(isPending, inArray(jobs.operation, ['RESTORE', 'VALIDATE_RESTORE'])))
    .orderBy(asc(jobs.createdAt))
  for (const { id } of pending) await requestCancel(database, { jobId: id, actor, now })
  return pending.length
}

/**
 * Seals the keys of all vaults anew, where the copy does not hold the key file: with the recovery key of each. Passwords of
 * servers and access keys cannot be opened any more. Refuses when the key of a vault was not given.
 */
export async function sealKeysAnew(
  database: Database,
  { identityOf, secrets }: { identityOf: (recipient: string) => string | undefined; secrets: SecretBox },
): Promise<void> {
  const all = await database.select().from(vaults)
  const missing = all.filter(({ recipient }) => identityOf(recipient) === undefined)
  if (missing.length > 0) {
    const names = missing.map(({ name }) => `"${name}"`).join(', ')
    throw new RecoveryRefused(
      `The copy was made without the key file, so that the recovery key of every vault is needed: add a --recovery-key-file for ${names}.`,
    )
  }
  // Nothing here opens them: former keys come back out of the vaults by rebuildCatalogue, and the next start leaves a canary.
  for (const table of [keyFileCanary, vaultKeys, vaultImports]) await database.delete(table)
  for (const { id, recipient } of all) {
    const sealedIdentity = secrets.seal(identityOf(recipient) ?? '')
    await database.update(vaults).set({ sealedIdentity }).where(eq(vaults.id, id))
  }
}
