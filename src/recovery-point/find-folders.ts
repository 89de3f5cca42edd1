import { and, eq } from 'drizzle-orm'
import type { Database } from '../database/connect.ts'
import { jobs } from '../database/tables/job.ts'
import { recoveryPoints } from '../database/tables/recovery-point.ts'
import { isPending } from '../job/states.ts'
import type { RecoveryPoint } from './recovery-point.ts'

/** What the catalogue knows of the folders that an instance has in its vault. */
export interface KnownFolders {
  points: Pick<RecoveryPoint, 'id' | 'prefix' | 'state' | 'storedBytes'>[]
  /** Backups that have not ended: what their attempts write is no point yet. */
  pendingBackupIds: Set<string>
}

/**
 * The folders that an instance may have in its vault. Ask after listing: a backup that ended in between has its point by
 * then, for its job is read before the points are.
 */
export async function findKnownFolders(database: Database, instanceId: string): Promise<KnownFolders> {
  const pending = await database
    .select({ id: jobs.id })
    .from(jobs)
    .where(and(eq(jobs.instanceId, instanceId), eq(jobs.operation, 'BACKUP'), isPending))
  const { id, prefix, state, storedBytes } = recoveryPoints
  const points = await database
    .select({ id, prefix, state, storedBytes })
    .from(recoveryPoints)
    .where(eq(recoveryPoints.instanceId, instanceId))
  return { points, pendingBackupIds: new Set(pending.map((job) => job.id)) }
}
