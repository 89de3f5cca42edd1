import type { recoveryPoints } from '../database/tables/recovery-point.ts'

/** One backup that can be returned to. */
export type RecoveryPoint = typeof recoveryPoints.$inferSelect

export type ProofLevel = RecoveryPoint['proof']
