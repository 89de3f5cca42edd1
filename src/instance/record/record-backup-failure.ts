import { eq } from 'drizzle-orm'
import type { Database } from '../../database/connect.ts'
import { backupInstances } from '../../database/tables/backup-instance.ts'
import { afterFailure } from './health.ts'

export interface RecordBackupFailure {
  instanceId: string
  /** Null: it was cancelled, which says nothing about the health. */
  error: { isUserError: boolean } | null
  now: Date
}

/** Notes on an instance that a backup ended without success, in the transaction that settles its job. */
export async function recordBackupFailure(
  tx: Database,
  { instanceId, error, now }: RecordBackupFailure,
): Promise<void> {
  if (error === null) return
  await tx.update(backupInstances).set(afterFailure(error, now)).where(eq(backupInstances.id, instanceId))
}
