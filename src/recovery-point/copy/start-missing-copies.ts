import { and, asc, eq, isNotNull, sql } from 'drizzle-orm'
import type { Database } from '../../database/connect.ts'
import { backupInstances } from '../../database/tables/backup-instance.ts'
import { jobs } from '../../database/tables/job.ts'
import { recoveryPoints } from '../../database/tables/recovery-point.ts'
import { vaults } from '../../database/tables/vault.ts'
import { enqueueJobs } from '../../job/enqueue.ts'
import { isPending } from '../../job/states.ts'
import type { Vault } from '../../vault/vault.ts'
import { isMissingCopy } from '../missing-copies.ts'
import { copyJob } from './copy.ts'

export interface StartMissingCopies {
  now: Date
  /** How many copies into one vault wait or run at once at most. */
  atMost: number
}

/**
 * Enqueues copies of points that lack theirs: those that were there before the replica was named, and those that could not
 * be copied, once it is their time again. Oldest first, after those that have not failed; a few at a time for each replica.
 * Resolves with how many were enqueued. Any number of schedulers may do this at once.
 */
export async function startMissingCopies(database: Database, { now, atMost }: StartMissingCopies): Promise<number> {
  const copied = await database.select().from(vaults).where(isNotNull(vaults.replicaId))
  let count = 0
  for (const vault of copied) count += await database.transaction((tx) => startIn(tx, { vault, now, atMost }))
  return count
}

async function startIn(tx: Database, { vault, now, atMost }: StartMissingCopies & { vault: Vault }): Promise<number> {
  const replicaId = vault.replicaId
  if (replicaId === null) return 0
  const isCopying = and(eq(jobs.operation, 'COPY'), eq(jobs.vaultId, replicaId), isPending)
  const room = atMost - (await tx.$count(jobs, isCopying))
  if (room < 1) return 0
  const isPendingCopy = sql`exists (select 1 from ${jobs}
    where ${jobs.recoveryPointId} = ${recoveryPoints.id} and ${jobs.operation} = 'COPY' and ${isPending})`
  const missing = await tx
    .select({ point: recoveryPoints, instance: backupInstances })
    .from(recoveryPoints)
    .innerJoin(vaults, eq(vaults.id, recoveryPoints.vaultId))
    .innerJoin(backupInstances, eq(backupInstances.id, recoveryPoints.instanceId))
    .where(
      and(
        eq(vaults.id, vault.id),
        isMissingCopy(now),
        sql`(${recoveryPoints.copyRetryAt} is null or ${recoveryPoints.copyRetryAt} <= ${now.toISOString()}::timestamptz)`,
        sql`not ${isPendingCopy}`,
      ),
    )
    .orderBy(asc(recoveryPoints.copyFailures), asc(recoveryPoints.createdAt), asc(recoveryPoints.id))
    .limit(room)
    // Held until the job can be seen: whoever removes the point or deletes the instance then finds its reader.
    .for('share', { of: [backupInstances, recoveryPoints], skipLocked: true })
  const enqueued = await enqueueJobs(
    tx,
    missing.map((each) => copyJob({ ...each, replicaId, now })),
  )
  return enqueued.filter((each) => 'jobId' in each).length
}
