import type { recoveryPoints } from '../database/tables/recovery-point.ts'

/** One backup that can be returned to. */
export type RecoveryPoint = typeof recoveryPoints.$inferSelect

export type ProofLevel = RecoveryPoint['proof']

/** One database inside a recovery point, as the catalogue remembers it. */
export type ContainedDatabase = RecoveryPoint['databases'][number]

/** Whether a point is on hold at a moment: it is then not removed, whatever its expiry. */
export function isOnHold({ heldAt, holdUntil }: Pick<RecoveryPoint, 'heldAt' | 'holdUntil'>, now: Date): boolean {
  return heldAt !== null && (holdUntil === null || holdUntil.getTime() > now.getTime())
}
