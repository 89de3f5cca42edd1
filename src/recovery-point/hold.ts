import { eq, sql } from 'drizzle-orm'
import { recordAudit } from '../audit/record.ts'
import type { Database } from '../database/connect.ts'
import { backupInstances } from '../database/tables/backup-instance.ts'
import { recoveryPoints } from '../database/tables/recovery-point.ts'
import type { BackupInstance } from '../instance/instance.ts'
import { OperationNotAllowed, startsFrom } from '../instance/states.ts'
import { checkComment, InvalidInput, NotFound } from '../refusal.ts'
import { isOnHold, type RecoveryPoint, RecoveryPointBeingRemoved, takenBack } from './recovery-point.ts'

export interface HoldRecoveryPoint {
  recoveryPointId: string
  /** Why it must not go: shown to everybody who wonders. */
  reason: string
  /** When the hold ends by itself; null: when it is released. */
  until: Date | null
  actor: string
  now: Date
}

/**
 * Puts a recovery point on hold: it is not removed before the hold ends or is released, whatever its expiry. A removal that
 * is only planned is taken back; refuses a point of which bytes are being removed already. A new hold replaces the one before.
 */
export async function holdRecoveryPoint(
  database: Database,
  { recoveryPointId, reason, until, actor, now }: HoldRecoveryPoint,
): Promise<RecoveryPoint> {
  checkReason(reason)
  if (until !== null && until <= now) {
    throw new InvalidInput('until', `A hold cannot end at ${until.toISOString()}: that is not in the future.`, [
      'Give a later moment, or leave it out: the hold then lasts until it is released.',
    ])
  }
  return database.transaction(async (tx) => {
    const { point, instance } = await lockPoint(tx, recoveryPointId, 'HOLD_RECOVERY_POINT')
    if (point.sweepStartedAt) throw new RecoveryPointBeingRemoved(point)
    const [held] = await tx
      .update(recoveryPoints)
      .set({
        heldAt: now,
        heldBy: actor,
        holdReason: reason,
        holdUntil: until,
        ...(point.markedAt !== null && takenBack),
      })
      .where(eq(recoveryPoints.id, recoveryPointId))
      .returning()
    if (!held) throw new NotFound('recovery point')
    if (until) await lookAtExpiry(tx, instance.id, later(until, point.expiresAt))
    await recordAudit(tx, {
      actor,
      action: 'holdRecoveryPoint',
      subject: { kind: 'RecoveryPoint', id: point.id, name: point.pointInTime.toISOString() },
      reason,
      before: { ...holdFacts(point, now), state: point.state },
      after: { ...holdFacts(held, now), state: held.state },
      detail: { instance: instance.name },
      now,
    })
    return held
  })
}

/** Locks a point for an operation on it, its instance first; refuses one that is gone or whose instance does not allow it. */
export async function lockPoint(
  tx: Database,
  recoveryPointId: string,
  operation: 'HOLD_RECOVERY_POINT' | 'RELEASE_RECOVERY_POINT',
): Promise<{ point: RecoveryPoint; instance: BackupInstance }> {
  const [instance] = await tx
    .select()
    .from(backupInstances)
    .where(
      sql`${backupInstances.id} = (select instance_id from recovery_points where recovery_points.id = ${recoveryPointId})`,
    )
    .for('update')
  const [point] = await tx.select().from(recoveryPoints).where(eq(recoveryPoints.id, recoveryPointId)).for('update')
  if (!instance || !point) throw new NotFound('recovery point')
  if (!startsFrom(operation).includes(instance.state)) throw new OperationNotAllowed(operation, instance)
  return { point, instance }
}

/** Has the clock look at the instance's points at a moment, unless it does so before. */
export async function lookAtExpiry(tx: Database, instanceId: string, at: Date): Promise<void> {
  await tx
    .update(backupInstances)
    .set({ expiryDueAt: sql`least(${backupInstances.expiryDueAt}, ${at.toISOString()}::timestamptz)` })
    .where(eq(backupInstances.id, instanceId))
}

/** A point's hold, as the audit log tells it; a hold that has ended is none. */
export function holdFacts(point: RecoveryPoint, now: Date): Record<string, string | boolean | null> {
  if (!isOnHold(point, now)) return { isOnHold: false }
  return { isOnHold: true, holdReason: point.holdReason, holdUntil: point.holdUntil?.toISOString() ?? null }
}

export function later(one: Date, other: Date): Date {
  return one > other ? one : other
}

function checkReason(reason: string): void {
  checkComment('reason', reason)
  if (reason.trim() === '') {
    throw new InvalidInput('reason', 'A hold needs a reason.', [
      'Say why the recovery point must stay: whoever wants it removed later will read that.',
    ])
  }
}
