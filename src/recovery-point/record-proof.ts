import { and, eq, inArray, isNull, or, sql } from 'drizzle-orm'
import type { Database } from '../database/connect.ts'
import { backupInstances } from '../database/tables/backup-instance.ts'
import { recoveryPoints } from '../database/tables/recovery-point.ts'
import { statesThatExpire } from '../instance/states.ts'
import { clearDamageOfTwins } from './record-damage.ts'
import { proofLevels, type VerifyLevel } from './recovery-point.ts'

export interface RecordProof {
  recoveryPointId: string
  proof: VerifyLevel
  now: Date
}

/**
 * Writes down that a point was shown good to a level just now. A higher level reached before is kept as it is;
 * a point that was suspect is available again when what found the damage went no further than this. What has restored as it
 * should clears the points that hold the same of what was found in that.
 */
export async function recordProof(tx: Database, { recoveryPointId, proof, now }: RecordProof): Promise<void> {
  await lookAtExpiryAgain(tx, recoveryPointId)
  const upToThis = proofLevels.slice(0, proofLevels.indexOf(proof) + 1)
  const isThePoint = eq(recoveryPoints.id, recoveryPointId)
  await tx.update(recoveryPoints).set(lookedAt(proof, now)).where(isThePoint)
  await tx
    .update(recoveryPoints)
    .set({ proof, provenAt: now })
    .where(and(isThePoint, inArray(recoveryPoints.proof, upToThis)))
  await tx
    .update(recoveryPoints)
    .set({ state: 'AVAILABLE', damage: [], damageLevel: null })
    .where(
      and(
        isThePoint,
        eq(recoveryPoints.state, 'SUSPECT'),
        or(isNull(recoveryPoints.damageLevel), inArray(recoveryPoints.damageLevel, upToThis)),
      ),
    )
  if (proof === 'RESTORED') await clearDamageOfTwins(tx, recoveryPointId)
}

/** When each look was last taken: a level takes those of the levels before it as well. */
function lookedAt(proof: VerifyLevel, now: Date) {
  return {
    lastReadAt: now,
    ...(proof !== 'READ_BACK' && { decodedAt: now }),
    ...(proof === 'RESTORED' && { restoredAt: now }),
  }
}

/** What was the best proven point until now may be free to expire. The instance is locked before the point, as everywhere. */
async function lookAtExpiryAgain(tx: Database, recoveryPointId: string): Promise<void> {
  await tx
    .update(backupInstances)
    .set({
      expiryDueAt: sql`least(${backupInstances.expiryDueAt}, (select min(expires_at) from recovery_points
        where recovery_points.instance_id = ${backupInstances.id} and marked_at is null))`,
    })
    .where(
      and(
        sql`${backupInstances.id} = (select instance_id from recovery_points where recovery_points.id = ${recoveryPointId})`,
        inArray(backupInstances.state, [...statesThatExpire]),
      ),
    )
}
