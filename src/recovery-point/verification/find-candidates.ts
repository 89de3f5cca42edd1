import { and, eq, inArray, type SQL, sql } from 'drizzle-orm'
import type { Database } from '../../database/connect.ts'
import { backupInstances } from '../../database/tables/backup-instance.ts'
import { jobs } from '../../database/tables/job.ts'
import { bytesReadAt, decodedOrMadeAt, recoveryPoints } from '../../database/tables/recovery-point.ts'
import { wanted, wantedId } from '../../database/wanted.ts'
import type { BackupInstance } from '../../instance/instance.ts'
import { startsFrom } from '../../instance/states.ts'
import { isPending, pendingList } from '../../job/states.ts'
import type { RecoveryPoint } from '../recovery-point.ts'
import { firstPauseMs, longestPauseMs, type VerificationCandidate } from './candidate.ts'
import { decidePauses } from './decide-pauses.ts'
import type { Pauses } from './decide-verification.ts'

/** A whole point, as far as the clock looks at it. */
export type CandidatePoint = RecoveryPoint & Pick<VerificationCandidate, 'isPending'>

const isPendingVerification: SQL<boolean> = sql<boolean>`exists (select 1 from jobs
  where jobs.recovery_point_id = recovery_points.id and operation = 'VERIFY'
    and status in (${pendingList}))`

/** Whether a point is left alone for a while, because verifications of it failed; the same as mayBeTriedAt, but for levels. */
function isLeftAlone(now: Date): SQL {
  const pause = sql`case when recovery_points.state = 'SUSPECT' then ${longestPauseMs}
    else least(${firstPauseMs} * 2 ^ least(verification_tries - 1, 30), ${longestPauseMs}) end`
  const reached = sql`case verification_tried_level when 'RESTORED' then restored_at
    when 'DECODED' then greatest(decoded_at, restored_at) else ${bytesReadAt} end`
  return sql`(verification_tried_at is not null and coalesce(${reached} < verification_tried_at, true)
    and verification_tried_at + ${pause} * interval '1 millisecond' > ${now.toISOString()}::timestamptz)`
}

/** How many verifications that the clock asked for wait or run in a vault: those that only read, and the others. */
export interface PendingVerifications {
  scrubs: number
  others: number
}

/** That of each vault with at least one, by vault id. */
export async function findPendingVerifications(tx: Database): Promise<Map<string, PendingVerifications>> {
  const rows = await tx
    .select({
      vaultId: jobs.vaultId,
      scrubs: sql`count(*) filter (where ${jobs.input}->>'level' = 'READ_BACK')`.mapWith(Number),
      all: sql`count(*)`.mapWith(Number),
    })
    .from(jobs)
    .where(and(eq(jobs.operation, 'VERIFY'), sql`${jobs.trigger} <> 'USER'`, isPending))
    .groupBy(jobs.vaultId)
  return new Map(
    rows.flatMap(({ vaultId, scrubs, all }) => (vaultId === null ? [] : [[vaultId, { scrubs, others: all - scrubs }]])),
  )
}

const triesLookedAt = 16

/** Until when nothing is begun in each of these vaults, by vault id. */
export async function findPauses(tx: Database, vaultIds: readonly string[]): Promise<Map<string, Pauses>> {
  if (vaultIds.length === 0) return new Map()
  const latest = tx
    .select({ id: recoveryPoints.id })
    .from(recoveryPoints)
    .where(sql`${recoveryPoints.vaultId} = ${wantedId} and ${recoveryPoints.verificationTriedAt} is not null`)
    .orderBy(sql`${recoveryPoints.verificationTriedAt} desc`)
    .limit(triesLookedAt)
    .as('latest')
  const rows = await tx.select({ id: latest.id }).from(wanted(vaultIds)).innerJoinLateral(latest, sql`true`)
  const points = await findPoints(
    tx,
    rows.map(({ id }) => id),
  )
  const byVault = Map.groupBy(points.values(), ({ vaultId }) => vaultId)
  const triedMs = ({ verificationTriedAt }: CandidatePoint) => verificationTriedAt?.getTime() ?? 0
  return new Map(
    [...byVault].map(([vaultId, tried]) => [
      vaultId,
      decidePauses(tried.toSorted((one, other) => triedMs(other) - triedMs(one))),
    ]),
  )
}

/** What decides on the verification of an instance's points. */
export interface InstancePoints {
  pointCount: number
  newest: CandidatePoint | null
  lastRestoredAt: Date | null
  oldest: CandidatePoint[]
}

const oldestLookedAt = 5

/** Copies are read again where they lie; what the policy asks for is shown of the points themselves. */
const isOriginalOf = sql`instance_id = ${wantedId} and copy_of_id is null`

/** That of each of many instances, by instance id: a few statements, each by an index, however many points they have. */
export async function findInstancePoints(
  tx: Database,
  { instanceIds, now }: { instanceIds: readonly string[]; now: Date },
): Promise<Map<string, InstancePoints>> {
  if (instanceIds.length === 0) return new Map()
  const rows = await tx.execute<{
    instance: string
    count: string
    restored: string | null
    newest: string | null
    oldest: string
  }>(sql`
    select ${wantedId} as instance,
      (select count(*) from recovery_points where ${isOriginalOf} and marked_at is null) as count,
      (select floor(extract(epoch from max(restored_at)) * 1000) from recovery_points
        where ${isOriginalOf} and restored_at is not null) as restored,
      (select id from recovery_points where ${isOriginalOf} and state = 'AVAILABLE'
        order by created_at desc, id desc limit 1) as newest,
      array_to_string(array(select id from recovery_points where ${isOriginalOf} and marked_at is null
        and not ${isLeftAlone(now)} order by ${decodedOrMadeAt} limit ${oldestLookedAt}), ',') as oldest
    from ${wanted(instanceIds)}`)
  const points = await findPoints(
    tx,
    rows.flatMap(({ newest, oldest }) => [newest ?? '', ...oldest.split(',')]).filter((id) => id !== ''),
  )
  return new Map(
    rows.map(({ instance, count, restored, newest, oldest }) => [
      instance,
      {
        pointCount: Number(count),
        newest: points.get(newest ?? '') ?? null,
        lastRestoredAt: restored === null ? null : new Date(Number(restored)),
        oldest: oldest.split(',').flatMap((id) => points.get(id) ?? []),
      },
    ]),
  )
}

export interface LongestUnread {
  vaultId: string
  now: Date
  atMost: number
}

/**
 * The points of a vault that were read longest ago, the first of them first, with the instance of each: locked, so that none
 * is chosen for removal or deleted meanwhile. What somebody else has at hand is left out, and what is left alone for a while.
 */
export async function lockLongestUnread(
  tx: Database,
  longest: LongestUnread,
): Promise<{ point: CandidatePoint; instance: BackupInstance }[]> {
  const rows = await longestUnread(tx, longest)
  return rows.map(({ point, instance, isPending: pending }) => ({ point: { ...point, isPending: pending }, instance }))
}

/** The statement for that: by an index, however many points the vault keeps. */
export function longestUnread(tx: Database, { vaultId, now, atMost }: LongestUnread) {
  return tx
    .select({ point: recoveryPoints, instance: backupInstances, isPending: isPendingVerification })
    .from(recoveryPoints)
    .innerJoin(backupInstances, eq(backupInstances.id, recoveryPoints.instanceId))
    .where(
      and(
        eq(recoveryPoints.vaultId, vaultId),
        sql`marked_at is null`,
        inArray(backupInstances.state, startsFrom('VERIFY_RECOVERY_POINT')),
        sql`not ${isLeftAlone(now)}`,
      ),
    )
    .orderBy(bytesReadAt)
    .limit(atMost)
    .for('no key update', { skipLocked: true })
}

async function findPoints(tx: Database, ids: readonly string[]): Promise<Map<string, CandidatePoint>> {
  if (ids.length === 0) return new Map()
  const rows = await tx
    .select({ point: recoveryPoints, isPending: isPendingVerification })
    .from(recoveryPoints)
    .where(inArray(recoveryPoints.id, [...new Set(ids)]))
  return new Map(rows.map(({ point, isPending: pending }) => [point.id, { ...point, isPending: pending }]))
}
