import { and, asc, eq, gt, isNotNull, lte, or, sql } from 'drizzle-orm'
import { recordAudit } from '../audit/record.ts'
import type { Database } from '../database/connect.ts'
import { backupInstances } from '../database/tables/backup-instance.ts'
import { recoveryPoints } from '../database/tables/recovery-point.ts'
import { standstillIn } from '../instance/states.ts'
import { type KeptBecause, unguarded, whyItStays } from '../retention/decide-expiry.ts'
import { findGuardedPoints, findPointsBeingRead } from './find.ts'
import { isOnHold, type RecoveryPoint, takenBack } from './recovery-point.ts'

export interface PointsToSweep {
  instanceId: string
  /** In that vault. */
  vaultId: string
  /** Marked at that moment or before: the grace is over. */
  markedUntil: Date
  now: Date
  /** Points that are left out, by id. */
  except: readonly string[]
  limit: number
}

/**
 * The next points of an instance in a vault whose bytes are to go: first those of which some may be gone already, then those whose
 * grace is over. Those that were marked in what is the future are among them: a clock was ahead, and they are looked at anew.
 */
export async function findPointsToSweep(
  database: Database,
  { instanceId, vaultId, markedUntil, now, except, limit }: PointsToSweep,
): Promise<RecoveryPoint[]> {
  const { sweepStartedAt, markedAt, id } = recoveryPoints
  return database
    .select()
    .from(recoveryPoints)
    .where(
      and(
        eq(recoveryPoints.instanceId, instanceId),
        eq(recoveryPoints.vaultId, vaultId),
        isNotNull(markedAt),
        or(isNotNull(sweepStartedAt), lte(markedAt, markedUntil), gt(markedAt, now)),
        except.length > 0 ? sql`${id} <> all(${`{${except.join(',')}}`}::text::uuid[])` : undefined,
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
 * its bytes may go from now on, or its mark is taken back. One that was begun before is only gone on with; one that was
 * marked by a clock that was ahead has its grace from now on.
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
        isAnomalous: instance.contentAnomalySince !== null,
        // Marks count as taken back: where the points that stay were damaged since, a marked one is the best that is left.
        guarded: guarded.get(instanceId)?.get(point.vaultId) ?? unguarded,
      },
    )
    if (because.length === 0 && point.markedAt > now) {
      await tx.update(recoveryPoints).set({ markedAt: now }).where(eq(recoveryPoints.id, recoveryPointId))
      return { kind: 'STAYS', because }
    }
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
