import type { Database } from '../../database/connect.ts'
import { findJobs } from '../../job/find.ts'
import type { JobRun } from '../../job/handler.ts'
import { recordNotification } from '../../notification/record.ts'
import type { Storage } from '../../storage/contract.ts'
import { listMetadataFolders, readMetadataHeader } from '../../storage/metadata-copies.ts'
import type { Vault } from '../../vault/vault.ts'
import type { WorkerContext } from '../context.ts'

/**
 * Looks whether another Holdfast writes its metadata into the same vault: after a recovery the one of before may still run,
 * and both would make backups and remove what is over. Only copies since our own last one are looked at.
 */
export async function watchForOthers(
  { database, now }: WorkerContext,
  run: JobRun,
  { storage, vault }: { storage: Storage; vault: Vault },
): Promise<{ tell: (tx: Database) => Promise<void> }> {
  const folders = (await listMetadataFolders(storage)).filter(({ isWhole }) => isWhole)
  const known = await findJobs(
    database,
    folders.map(({ jobId }) => jobId),
  )
  // Where a clock that was ahead has dated the last one, it cannot be later than now.
  const since = new Date(Math.min((vault.metadataBackedUpAt ?? vault.createdAt).getTime(), now().getTime()))
  for (const { prefix, jobId } of folders.filter((folder) => !known.has(folder.jobId))) {
    // One that cannot be read is told of where copies are tidied up.
    const header = await readMetadataHeader(storage, prefix).catch(() => undefined)
    const createdAt = new Date(header?.createdAt ?? 0)
    if (createdAt <= since) continue
    const message = `Another Holdfast has written a copy of its metadata into vault "${vault.name}" at ${createdAt.toISOString()} (job ${jobId}).`
    run.warn(message)
    return { tell: (tx) => tell(tx, { run, vault, message, jobId, now: now() }) }
  }
  return { tell: async () => {} }
}

async function tell(
  tx: Database,
  { run, vault, message, jobId, now }: { run: JobRun; vault: Vault; message: string; jobId: string; now: Date },
): Promise<void> {
  await recordNotification(tx, {
    kind: 'METADATA_BACKUP_FAILED',
    severity: 'WARNING',
    message,
    recommendedActions: [
      'If this service was recovered from the vault, make sure that the one of before is stopped for good.',
      'Two services must never use one vault: each makes backups and removes recovery points without knowing of the other.',
    ],
    about: { vaultId: vault.id, jobId: run.job.id, name: vault.name },
    onceKey: `metadata-of-another:${vault.id}:${jobId}`,
    now,
  })
}
