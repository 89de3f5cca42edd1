import { and, eq, inArray, isNull, sql } from 'drizzle-orm'
import type { Database } from '../database/connect.ts'
import { backupInstances } from '../database/tables/backup-instance.ts'
import { recoveryPoints } from '../database/tables/recovery-point.ts'
import { statesThatExpire } from '../instance/states.ts'
import type { ProofLevel } from './recovery-point.ts'

const levels: readonly ProofLevel[] = ['WRITTEN', 'READ_BACK', 'DECODED', 'RESTORED']

export interface RecordProof {
  recoveryPointId: string
  proof: ProofLevel
  now: Date
}

/**
 * Writes down that a point was shown good to a level just now. A higher level reached before is kept as it is;
 * a point that was suspect is available again, for all of it has been read.
 */
export async function recordProof(tx: Database, { recoveryPointId, proof, now }: RecordProof): Promise<void> {
  await lookAtExpiryAgain(tx, recoveryPointId)
  const upToThis = levels.slice(0, levels.indexOf(proof) + 1)
  await tx
    .update(recoveryPoints)
    .set({ proof, provenAt: now })
    .where(and(eq(recoveryPoints.id, recoveryPointId), inArray(recoveryPoints.proof, upToThis)))
  await tx
    .update(recoveryPoints)
    .set({ state: 'AVAILABLE', damage: [] })
    .where(and(eq(recoveryPoints.id, recoveryPointId), eq(recoveryPoints.state, 'SUSPECT')))
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

export interface RecordDamage {
  recoveryPointId: string
  /** One sentence a damaged artifact, naming it. */
  damage: string[]
}

/**
 * Marks a point as suspect: it is never deleted for that, but restores refuse it until a verification finds it whole again.
 * One that was chosen for removal is what it is found to be once that is taken back; one that is being removed is left alone.
 */
export async function recordDamage(tx: Database, { recoveryPointId, damage }: RecordDamage): Promise<void> {
  await tx
    .update(recoveryPoints)
    .set({
      state: sql`case when ${recoveryPoints.state} = 'REMOVING' then 'REMOVING' else 'SUSPECT' end::recovery_point_state`,
      damage,
    })
    .where(and(eq(recoveryPoints.id, recoveryPointId), isNull(recoveryPoints.sweepStartedAt)))
}
