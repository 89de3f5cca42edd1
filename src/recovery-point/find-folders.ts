import { and, eq, inArray } from 'drizzle-orm'
import type { Database } from '../database/connect.ts'
import { jobs } from '../database/tables/job.ts'
import { recoveryPoints } from '../database/tables/recovery-point.ts'
import { isPending } from '../job/states.ts'
import type { RecoveryPoint } from './recovery-point.ts'

/** What the catalogue knows of the folders that an instance has in a vault. */
export interface KnownFolders {
  points: Pick<RecoveryPoint, 'id' | 'prefix' | 'state' | 'storedBytes' | 'manifestSha256' | 'nextManifestSha256'>[]
  /** Backups and copies that have not ended: what their attempts write is no point yet. */
  pendingJobIds: Set<string>
}

/**
 * The folders that an instance may have in a vault. Ask after listing: a backup that ended in between has its point by
 * then, for its job is read before the points are.
 */
export async function findKnownFolders(
  database: Database,
  { instanceId, vaultId }: { instanceId: string; vaultId: string },
): Promise<KnownFolders> {
  const pending = await database
    .select({ id: jobs.id })
    .from(jobs)
    .where(and(eq(jobs.instanceId, instanceId), inArray(jobs.operation, ['BACKUP', 'COPY']), isPending))
  const { id, prefix, state, storedBytes, manifestSha256, nextManifestSha256 } = recoveryPoints
  const points = await database
    .select({ id, prefix, state, storedBytes, manifestSha256, nextManifestSha256 })
    .from(recoveryPoints)
    .where(and(eq(recoveryPoints.instanceId, instanceId), eq(recoveryPoints.vaultId, vaultId)))
  return { points, pendingJobIds: new Set(pending.map((job) => job.id)) }
}
