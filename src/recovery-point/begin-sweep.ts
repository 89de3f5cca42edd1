import { and, asc, eq, isNotNull, lte, or, sql } from 'drizzle-orm'
import { recordAudit } from '../audit/record.ts'
import type { Database } from '../database/connect.ts'
import { backupInstances } from '../database/tables/backup-instance.ts'
import { recoveryPoints } from '../database/tables/recovery-point.ts'
import { standstillIn } from '../instance/states.ts'
import { type KeptBecause, whyItStays } from '../retention/decide-expiry.ts'
import { findGuardedPoints, findPointsBeingRead } from './find.ts'
import { isOnHold, type RecoveryPoint } from './recovery-point.ts'
import { takenBack } from './take-back.ts'

/**
 * The next points of an instance whose bytes are to go: first those of which some may be gone already, then those that
 * were marked at this moment or before.
 */
export async function findPointsToSweep(
  database: Database,
  { instanceId, markedUntil, limit }: { instanceId: string; markedUntil: Date; limit: number },
): Promise<RecoveryPoint[]> {
  const { sweepStartedAt, markedAt, id } = recoveryPoints
  return database
    .select()
    .from(recoveryPoints)
    .where(
      and(
        eq(recoveryPoints.instanceId, instanceId),
        isNotNull(markedAt),
        or(isNotNull(sweepStartedAt), lte(markedAt, markedUntil)),
      ),
    )
    .orderBy(sql`${sweepStartedAt} is null`, asc(markedAt), asc(id))
    .limit(limit)
}

export interface BeginSweep {
  recoveryPointId: string
  instanceId: string
  now: Date
}

/** Whether the bytes may be removed now; if not, why the point stays (nothing, when it is gone or not marked any more). */
export type SweepDecision = { kind: 'SWEEP' } | { kind: 'STAYS'; because: KeptBecause[] }

/**
 * The point of no return of a marked point: everything that could keep it is looked at once more under lock, and either
 * its bytes may go from now on, or its mark is taken back. One that was begun before is only gone on with.
 */
export async function beginSweep(database: Database, input: BeginSweep): Promise<SweepDecision> {
  const { recoveryPointId, instanceId, now } = input
  return database.transaction(async (tx): Promise<SweepDecision> => {
    const [instance] = await tx.select().from(backupInstances).where(eq(backupInstances.id, instanceId)).for('update')
    const [point] = await tx.select().from(recoveryPoints).where(eq(recoveryPoints.id, recoveryPointId)).for('update')
    if (!instance || !point?.markedAt) return { kind: 'STAYS', because: [] }
    if (point.sweepStartedAt) return { kind: 'SWEEP' }
    const read = await findPointsBeingRead(tx, [recoveryPointId])
    const guarded = await findGuardedPoints(tx, [instanceId], { marked: true })
    const because = whyItStays(
      { id: point.id, expiresAt: point.expiresAt, isHeld: isOnHold(point, now), isBeingRead: read.size > 0 },
      {
        now,
        standstill: standstillIn(instance.state),
        // Marks count as taken back: where the points that stay were damaged since, a marked one is the best that is left.
        guarded: guarded.get(instanceId) ?? { newestRestorable: null, bestProven: null },
      },
    )
    if (because.length === 0) {
      await tx.update(recoveryPoints).set({ sweepStartedAt: now }).where(eq(recoveryPoints.id, recoveryPointId))
      return { kind: 'SWEEP' }
    }
    await tx.update(recoveryPoints).set(takenBack).where(eq(recoveryPoints.id, recoveryPointId))
    await recordAudit(tx, {
      actor: 'holdfast',
      action: 'recoveryPointKept',
      subject: { kind: 'RecoveryPoint', id: point.id, name: point.pointInTime.toISOString() },
      detail: { instance: instance.name, because: because.join(', ') },
      now,
    })
    return { kind: 'STAYS', because }
  })
}
