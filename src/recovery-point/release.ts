import { eq } from 'drizzle-orm'
import { recordAudit } from '../audit/record.ts'
import type { Database } from '../database/connect.ts'
import { recoveryPoints } from '../database/tables/recovery-point.ts'
import { NotFound, Refusal } from '../refusal.ts'
import { holdFacts, later, lockPoint, lookAtExpiry } from './hold.ts'
import { isOnHold, type RecoveryPoint } from './recovery-point.ts'

/** The recovery point is not on hold: there is nothing to release. */
export class NotOnHold extends Refusal {
  constructor({ pointInTime }: RecoveryPoint) {
    super(`Recovery point of ${pointInTime.toISOString()} is not on hold.`, [
      'Nothing has to be done: it goes when its own time is over.',
    ])
  }
}

export interface ReleaseRecoveryPoint {
  recoveryPointId: string
  actor: string
  now: Date
}

/** Ends the hold of a recovery point: it goes when its own time is over, at once when that is past, under the usual guards. */
export async function releaseRecoveryPoint(
  database: Database,
  { recoveryPointId, actor, now }: ReleaseRecoveryPoint,
): Promise<RecoveryPoint> {
  return database.transaction(async (tx) => {
    const { point, instance } = await lockPoint(tx, recoveryPointId, 'RELEASE_RECOVERY_POINT')
    if (!isOnHold(point, now)) throw new NotOnHold(point)
    const [released] = await tx
      .update(recoveryPoints)
      .set({ heldAt: null, heldBy: null, holdReason: null, holdUntil: null })
      .where(eq(recoveryPoints.id, recoveryPointId))
      .returning()
    if (!released) throw new NotFound('recovery point')
    await lookAtExpiry(tx, instance.id, later(now, point.expiresAt))
    await recordAudit(tx, {
      actor,
      action: 'releaseRecoveryPoint',
      subject: { kind: 'RecoveryPoint', id: point.id, name: point.pointInTime.toISOString() },
      before: holdFacts(point, now),
      after: holdFacts(released, now),
      detail: { instance: instance.name, heldBy: point.heldBy },
      now,
    })
    return released
  })
}
