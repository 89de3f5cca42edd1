import { and, count, eq, gt, inArray, isNotNull, isNull, max, ne, or, sql } from 'drizzle-orm'
import { recordAudit } from '../../audit/record.ts'
import type { Database } from '../../database/connect.ts'
import { backupInstances } from '../../database/tables/backup-instance.ts'
import { jobs } from '../../database/tables/job.ts'
import { recoveryPoints } from '../../database/tables/recovery-point.ts'
import { isPending } from '../../job/states.ts'
import { recordNotification } from '../../notification/record.ts'
import { findPlaces } from '../../recovery-point/find.ts'
import { lockVaults } from '../../vault/find.ts'
import { isImmutable } from '../../vault/vault.ts'
import type { BackupInstance } from '../instance.ts'

export interface BeginPurge {
  instanceId: string
  jobId: string
  /** Until when nothing is to be removed, and why; undefined: what is due may go. */
  rest?: { endsAt: Date; reason: string } | undefined
  now: Date
}

/** Whether the purge may go on, and when not, what it waits for. */
export type PurgeDecision =
  | { kind: 'PURGE' }
  /** Not deleted any more, or its time has not come. */
  | { kind: 'NOT_DUE' }
  /** Jobs that may read or write its bytes have not ended. */
  | { kind: 'BUSY'; pendingJobs: number }
  /** Put off to that moment. */
  | { kind: 'PUT_OFF'; until: Date; why: string }

/** How long a purge that something forbids waits before it looks again whether that is still so, ms. */
const lookAgainMs = 24 * 60 * 60_000

/**
 * The point of no return of a deleted instance: from here on it cannot be undeleted, and all of its points are to go: see
 * markPurged. Not before its time, nor while its jobs are pending; in an immutable vault, or for a point on hold, not before
 * every point's own time; and while removals rest, not at all. One that was begun before is only gone on with.
 */
export async function beginPurge(
  database: Database,
  { instanceId, jobId, rest, now }: BeginPurge,
): Promise<PurgeDecision> {
  return database.transaction(async (tx): Promise<PurgeDecision> => {
    const [instance] = await tx.select().from(backupInstances).where(eq(backupInstances.id, instanceId)).for('update')
    if (!instance?.scheduledPurgeAt || instance.state !== 'SOFT_DELETED') return { kind: 'NOT_DUE' }
    // Whoever is enqueueing a reader of a point holds that point until the job can be seen.
    await tx
      .select({ id: recoveryPoints.id })
      .from(recoveryPoints)
      .where(eq(recoveryPoints.instanceId, instanceId))
      .orderBy(recoveryPoints.id)
      .for('update')
    const pendingJobs = await tx.$count(jobs, and(eq(jobs.instanceId, instanceId), ne(jobs.id, jobId), isPending))
    if (pendingJobs > 0) return { kind: 'BUSY', pendingJobs }
    if (instance.purgeStartedAt && !rest) return { kind: 'PURGE' }
    if (instance.scheduledPurgeAt > now) return { kind: 'NOT_DUE' }
    const obstacle = rest ? restObstacle(rest) : await findObstacle(tx, instance, now)
    if (obstacle) {
      const { until = new Date(now.getTime() + lookAgainMs) } = obstacle
      await putPurgeOff(tx, instance, { ...obstacle, until, jobId, now })
      return { kind: 'PUT_OFF', until, why: obstacle.why }
    }
    await commit(tx, instance, now)
    return { kind: 'PURGE' }
  })
}

/** Has the clock start another purge later: this one failed or was cancelled. */
export async function retryPurgeLater(
  tx: Database,
  { instanceId, now }: { instanceId: string; now: Date },
): Promise<void> {
  await tx
    .update(backupInstances)
    .set({ scheduledPurgeAt: sql`greatest(${backupInstances.scheduledPurgeAt}, ${inAnHour(now)}::timestamptz)` })
    .where(and(eq(backupInstances.id, instanceId), eq(backupInstances.state, 'SOFT_DELETED')))
}

function inAnHour(now: Date): string {
  return new Date(now.getTime() + 60 * 60_000).toISOString()
}

/** What forbids a purge. */
interface Obstacle {
  /** The same for as long as it is told once. */
  cause: string
  /** In words for an operator. */
  why: string
  /** When it is over; not known when left out. */
  until?: Date
}

function restObstacle({ endsAt, reason }: NonNullable<BeginPurge['rest']>): Obstacle {
  return { cause: `rest:${endsAt.toISOString()}`, why: `nothing is removed until then, for ${reason}`, until: endsAt }
}

async function findObstacle(tx: Database, { id, vaultId }: BackupInstance, now: Date): Promise<Obstacle | undefined> {
  const isOfIt = eq(recoveryPoints.instanceId, id)
  const isHeld = and(
    isNotNull(recoveryPoints.heldAt),
    or(isNull(recoveryPoints.holdUntil), gt(recoveryPoints.holdUntil, now)),
  )
  const held = await tx.$count(recoveryPoints, and(isOfIt, isHeld))
  if (held > 0) {
    return { cause: 'hold', why: `${held} of its recovery points are on hold` }
  }
  const vaults = await lockVaults(tx, (await findPlaces(tx, [id])).get(id) ?? [])
  const immutable = vaults.filter(isImmutable).map((vault) => vault.id)
  if (immutable.length === 0) return undefined
  const [kept] = await tx
    .select({ count: count(), last: max(recoveryPoints.expiresAt) })
    .from(recoveryPoints)
    .where(and(isOfIt, inArray(recoveryPoints.vaultId, immutable), gt(recoveryPoints.expiresAt, now)))
  if (!kept?.last) return undefined
  const last = kept.last.toISOString()
  const which = immutable.includes(vaultId) ? 'its vault' : 'its replica vault'
  const why = `${which} is immutable, and the time of ${kept.count} recovery points is not over, of the last at ${last}`
  return { cause: `immutability:${last}`, why }
}

/** Has the clock look again, and says so: what was to be gone by now is there still. Told once for each cause. */
async function putPurgeOff(
  tx: Database,
  { id, name, vaultId, deletedAt, scheduledPurgeAt }: BackupInstance,
  { cause, why, until, jobId, now }: Obstacle & { until: Date; jobId: string; now: Date },
): Promise<void> {
  await tx.update(backupInstances).set({ scheduledPurgeAt: until }).where(eq(backupInstances.id, id))
  await recordAudit(tx, {
    actor: 'holdfast',
    action: 'purgePutOff',
    subject: { kind: 'BackupInstance', id, name },
    reason: why,
    before: { scheduledPurgeAt: scheduledPurgeAt?.toISOString() ?? null },
    after: { scheduledPurgeAt: until.toISOString() },
    detail: { job: jobId },
    now,
  })
  await recordNotification(tx, {
    kind: 'PURGE_NEAR',
    severity: 'WARNING',
    message: `The purge of the deleted backup instance "${name}" is put off to ${until.toISOString()}: ${why}.`,
    recommendedActions: [
      'It is looked at again each day, and goes once nothing forbids it.',
      'If its data is needed, undelete it before then with undeleteBackupInstance.',
    ],
    about: { instanceId: id, vaultId, jobId, name },
    onceKey: `purge-put-off:${id}:${deletedAt?.toISOString() ?? ''}:${cause}`,
    now,
  })
}

async function commit(tx: Database, { id, name, scheduledPurgeAt }: BackupInstance, now: Date): Promise<void> {
  await tx.update(backupInstances).set({ purgeStartedAt: now }).where(eq(backupInstances.id, id))
  const points = await tx.$count(recoveryPoints, eq(recoveryPoints.instanceId, id))
  await recordAudit(tx, {
    actor: 'holdfast',
    action: 'purgeBegun',
    subject: { kind: 'BackupInstance', id, name },
    detail: { recoveryPoints: points, scheduledPurgeAt: scheduledPurgeAt?.toISOString() ?? null },
    now,
  })
}
