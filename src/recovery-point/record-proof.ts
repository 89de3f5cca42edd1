import { and, eq, inArray } from 'drizzle-orm'
import type { Database } from '../database/connect.ts'
import { recoveryPoints } from '../database/tables/recovery-point.ts'
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

export interface RecordDamage {
  recoveryPointId: string
  /** One sentence a damaged artifact, naming it. */
  damage: string[]
}

/** Marks a point as suspect: it is never deleted for that, but restores refuse it until a verification finds it whole again. */
export async function recordDamage(tx: Database, { recoveryPointId, damage }: RecordDamage): Promise<void> {
  await tx.update(recoveryPoints).set({ state: 'SUSPECT', damage }).where(eq(recoveryPoints.id, recoveryPointId))
}
