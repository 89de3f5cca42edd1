import type { recoveryPoints } from '../database/tables/recovery-point.ts'

/** One backup that can be returned to. */
export type RecoveryPoint = typeof recoveryPoints.$inferSelect

export type ProofLevel = RecoveryPoint['proof']

/** One database inside a recovery point, as the catalogue remembers it. */
export type ContainedDatabase = RecoveryPoint['databases'][number]
