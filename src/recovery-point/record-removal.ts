import { and, eq, isNotNull, sql } from 'drizzle-orm'
import { recordAudit } from '../audit/record.ts'
import type { Database } from '../database/connect.ts'
import { auditRecords } from '../database/tables/audit.ts'
import { recoveryPoints } from '../database/tables/recovery-point.ts'

export interface RecordRemoval {
  recoveryPointId: string
  instanceName: string
  jobId: string
  now: Date
}

const action = 'recoveryPointRemoved'

/**
 * Forgets a point whose bytes are confirmed gone, and writes down what it was. Only for one whose sweep has begun; false,
 * and nothing is written, when there is none: another run was first.
 */
export async function recordRemoval(
  database: Database,
  { recoveryPointId, instanceName, jobId, now }: RecordRemoval,
): Promise<boolean> {
  return database.transaction(async (tx) => {
    const [removed] = await tx
      .delete(recoveryPoints)
      .where(and(eq(recoveryPoints.id, recoveryPointId), isNotNull(recoveryPoints.sweepStartedAt)))
      .returning()
    if (!removed) return false
    await recordAudit(tx, {
      actor: 'holdfast',
      action,
      subject: { kind: 'RecoveryPoint', id: removed.id, name: removed.pointInTime.toISOString() },
      reason: removed.markReason,
      detail: {
        instance: instanceName,
        job: jobId,
        folder: removed.prefix,
        tag: removed.tag,
        proof: removed.proof,
        createdAt: removed.createdAt.toISOString(),
        expiresAt: removed.expiresAt.toISOString(),
        storedBytes: removed.storedBytes,
      },
      now,
    })
    return true
  })
}

/** The clocks of those who enqueue and those who remove may differ by so much, ms. */
const clockSlackMs = 24 * 60 * 60_000

/** How many points a job has removed, over all its attempts, and how many bytes those took. */
export async function sumRemovals(
  tx: Database,
  { jobId, createdAt }: { jobId: string; createdAt: Date },
): Promise<{ count: number; storedBytes: number }> {
  const since = new Date(createdAt.getTime() - clockSlackMs)
  const [sum] = await tx
    .select({
      count: sql`count(*)`.mapWith(Number),
      storedBytes: sql`coalesce(sum((${auditRecords.detail} ->> 'storedBytes')::bigint), 0)`.mapWith(Number),
    })
    .from(auditRecords)
    .where(
      and(
        eq(auditRecords.action, action),
        sql`${auditRecords.at} >= ${since.toISOString()}::timestamptz`,
        sql`${auditRecords.detail} ->> 'job' = ${jobId}`,
      ),
    )
  return sum ?? { count: 0, storedBytes: 0 }
}
