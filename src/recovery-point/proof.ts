import type { recoveryPointProofs } from '../database/tables/recovery-point-proof.ts'

/** One look at a recovery point: it was shown good to a level, or found not to be. */
export type RecoveryPointProof = typeof recoveryPointProofs.$inferSelect

/** What was looked at for one proof; null where its level does not look at it. */
export type ProofChecks = RecoveryPointProof['checked']

/** What an operator's assertion came to in the restored copy. */
export type CheckedAssertion = ProofChecks['assertions'][number]
