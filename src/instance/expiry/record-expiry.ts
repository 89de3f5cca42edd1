import { and, desc, eq, inArray, type SQL, sql } from 'drizzle-orm'
import type { Database } from '../../database/connect.ts'
import { backupInstances } from '../../database/tables/backup-instance.ts'
import { jobs } from '../../database/tables/job.ts'
import { recordNotification } from '../../notification/record.ts'
import { isBeingRead } from '../../recovery-point/find.ts'
import type { BackupInstance } from '../instance.ts'
import { standstillIn, statesLookedAt } from '../states.ts'
import { longestUnseenMs } from './next-expiry.ts'
import { guardedIds, guardedOf, planExpiry } from './plan-expiry.ts'

/** How soon to look again at a point that only a restore or verification keeps, ms: nothing tells when that ends. */
const lookAgainMs = 60 * 60_000
/** How long is waited at most after runs that failed, however many. */
const longestPauseMs = 24 * lookAgainMs

export interface RecordExpiry {
  instanceId: string
  /** What the run has removed. */
  removed: { count: number; storedBytes: number }
  jobId: string
  removalGraceMs: number
  /** Some points could not be looked at, or not be removed: what is due now is tried again later. */
  isPartial?: boolean
  now: Date
}

/** Notes that an expiry run is over: when the next one is due, and what went, for those who want to be told. */
export async function recordExpiry(
  tx: Database,
  { instanceId, removed, jobId, removalGraceMs, isPartial = false, now }: RecordExpiry,
): Promise<void> {
  const [instance] = await tx.select().from(backupInstances).where(eq(backupInstances.id, instanceId)).for('update')
  if (!instance) return
  const nextAt = await nextRun(tx, { instance, removalGraceMs, now })
  const retryAt = isPartial ? new Date(now.getTime() + (await pauseAfter(tx, instanceId))) : now
  const expiryDueAt = isPartial && nextAt && nextAt < retryAt ? retryAt : nextAt
  const isApprovalOver = await isSpent(tx, { instance, now })
  await tx
    .update(backupInstances)
    .set({ expiryDueAt, ...(isApprovalOver && { expiryApprovedThrough: null }) })
    .where(eq(backupInstances.id, instanceId))
  if (removed.count === 0) return
  const points = removed.count === 1 ? '1 expired recovery point' : `${removed.count} expired recovery points`
  await recordNotification(tx, {
    kind: 'RECOVERY_POINTS_REMOVED',
    severity: 'INFO',
    message: `${points} of "${instance.name}" ${removed.count === 1 ? 'was' : 'were'} removed: ${removed.storedBytes} bytes.`,
    about: { instanceId, vaultId: instance.vaultId, jobId, name: instance.name },
    onceKey: `recovery-points-removed:${jobId}`,
    now,
  })
}

/** Whether an approval has nothing left to let go: what was kept from it, by a hold for one, is asked for again later. */
async function isSpent(tx: Database, { instance, now }: { instance: BackupInstance; now: Date }): Promise<boolean> {
  const through = instance.expiryApprovedThrough
  if (through === null) return false
  return (await planExpiry(tx, { instance, now, expiredBy: through })).marked.length === 0
}

/**
 * How long is waited after a run that failed, ms: an hour, twice as long after each that failed right before it, a day at most. A place may
 * be away for weeks, and looking for it takes a worker's time from backups.
 */
async function pauseAfter(tx: Database, instanceId: string): Promise<number> {
  const [, ...earlier] = await tx
    .select({ status: jobs.status })
    .from(jobs)
    .where(and(eq(jobs.instanceId, instanceId), eq(jobs.operation, 'EXPIRE')))
    .orderBy(desc(jobs.createdAt), desc(jobs.id))
    .limit(6)
  const better = earlier.findIndex(({ status }) => status !== 'FAILED')
  const failures = better < 0 ? earlier.length : better
  return Math.min(lookAgainMs * 2 ** failures, longestPauseMs)
}

/** Has the clock ask again later: an expiry run failed or was cancelled, and what was due still is. */
export async function retryExpiryLater(
  tx: Database,
  { instanceId, now }: { instanceId: string; now: Date },
): Promise<void> {
  await putExpiryOff(tx, { instanceId, until: new Date(now.getTime() + (await pauseAfter(tx, instanceId))) })
}

/** Has the clock ask again at that moment: until then nothing goes. */
export async function putExpiryOff(
  tx: Database,
  { instanceId, until }: { instanceId: string; until: Date },
): Promise<void> {
  await tx
    .update(backupInstances)
    .set({ expiryDueAt: until })
    .where(sql`${eq(backupInstances.id, instanceId)} and ${inArray(backupInstances.state, [...statesLookedAt])}`)
}

/**
 * When the next run has something to do: an end, a hold's end, or the end of a mark's grace; a week from now at the latest,
 * to look at the vault. Null while it has no points.
 */
async function nextRun(
  tx: Database,
  { instance, removalGraceMs, now }: { instance: BackupInstance; removalGraceMs: number; now: Date },
): Promise<Date | null> {
  if (!statesLookedAt.some((each) => each === instance.state)) return null
  const guarded = await guardedOf(tx, instance.id)
  const idsOf = (ids: Iterable<string>) => sql`${`{${[...ids].join(',')}}`}::text::uuid[]`
  const restorable = [...guarded].flatMap(([vaultId, { bestProven }]) => (bestProven === null ? [] : [vaultId]))
  const at = (moment: Date | null) => sql`${moment?.toISOString() ?? null}::timestamptz`
  // Where a vault has no point that can be restored from, none of it is free; when there is one again, that is when the clock looks.
  const isFree = sql`instance_id = ${instance.id} and marked_at is null and vault_id = any (${idsOf(restorable)})
    and id <> all (${idsOf(guardedIds(guarded))})`
  const asks = instance.expiryBlockedAt
    ? sql`expires_at <= ${at(instance.expiryBlockedAt)} and (${at(instance.expiryApprovedThrough)} is null or expires_at > ${at(instance.expiryApprovedThrough)})`
    : sql`false`
  const due: SQL = sql`select min(case
      when held_at is not null and hold_until is null then null
      when held_at is not null and hold_until > ${at(now)} then hold_until
      when ${isBeingRead} then ${at(new Date(now.getTime() + lookAgainMs))}
      when ${asks} then null
      else ${at(now)} end)
    from recovery_points where ${isFree} and expires_at <= ${at(now)}`
  const coming: SQL = sql`select expires_at from recovery_points where ${isFree} and expires_at > ${at(now)}
    order by expires_at, id limit 1`
  const marked: SQL = sql`select min(case when sweep_started_at is not null or marked_at > ${at(now)} then ${at(now)}
      else greatest(marked_at + ${removalGraceMs} * interval '1 millisecond', ${at(now)}) end)
    from recovery_points where instance_id = ${instance.id} and marked_at is not null`
  const latest = at(new Date(now.getTime() + longestUnseenMs))
  // Where nothing expires, nothing is due but what was begun.
  const isStill = standstillIn(instance.state) !== null || instance.contentAnomalySince !== null
  const moments = isStill ? sql`(${marked})` : sql`(${due}), (${coming}), (${marked})`
  const [row] = await tx.execute<{ at: string | null }>(
    sql`select to_char(least(${moments}, ${latest}) at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') as at
      where exists (select 1 from recovery_points where instance_id = ${instance.id})`,
  )
  return row?.at ? new Date(row.at) : null
}
