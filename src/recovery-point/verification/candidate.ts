import { type ProofLevel, proofLevels, type RecoveryPoint, type VerifyLevel } from '../recovery-point.ts'

/** A point that is not on its way out, as far as the clock looks at it before it has it verified. */
export type VerificationCandidate = Pick<
  RecoveryPoint,
  | 'id'
  | 'state'
  | 'proof'
  | 'createdAt'
  | 'provenAt'
  | 'lastReadAt'
  | 'decodedAt'
  | 'restoredAt'
  | 'damageLevel'
  | 'verificationTriedAt'
  | 'verificationTriedLevel'
  | 'verificationTries'
> & {
  /** A verification of it is queued or running, whoever asked for it. */
  isPending: boolean
}

export const hourMs = 60 * 60_000
export const dayMs = 24 * hourMs

/** After a verification that came to nothing: doubled each time, and no longer than a week. */
export const firstPauseMs = hourMs
export const longestPauseMs = 7 * dayMs

/** When all its bytes were last read and found right; null: not yet. */
export function readAtOf({ proof, provenAt, ...looked }: Omit<VerificationCandidate, 'isPending'>): Date | null {
  if (proof === 'WRITTEN') return null
  return latestOf([provenAt, looked.lastReadAt, looked.decodedAt, looked.restoredAt])
}

/** When it was last decoded to its end; null: never. */
export function decodedAtOf({ decodedAt, restoredAt }: Pick<VerificationCandidate, 'decodedAt' | 'restoredAt'>) {
  return latestOf([decodedAt, restoredAt])
}

/** Whether the last verification that the clock asked for has not come as far as it was to; also while it runs. */
export function hasFailed(point: Omit<VerificationCandidate, 'isPending'>): boolean {
  const { verificationTriedAt: triedAt, verificationTriedLevel: level } = point
  if (triedAt === null || level === null) return false
  const reached = {
    WRITTEN: readAtOf(point),
    READ_BACK: readAtOf(point),
    DECODED: decodedAtOf(point),
    RESTORED: point.restoredAt,
  }[level]
  return reached === null || reached < triedAt
}

/**
 * From when on a point may be verified to a level, ms since 1970: at any time, but some while after a verification that
 * failed at that level or a lower one; a damaged point is looked at again once a week.
 */
export function mayBeTriedAt(point: VerificationCandidate, level: VerifyLevel): number {
  if (!hasFailed(point) || point.verificationTriedAt === null) return 0
  const triedAt = point.verificationTriedAt.getTime()
  if (point.state === 'SUSPECT') return triedAt + longestPauseMs
  if (rankOf(level) < rankOf(point.verificationTriedLevel ?? 'WRITTEN')) return 0
  return triedAt + pauseMs(point.verificationTries)
}

/** How long a point is left alone after so many verifications in a row that failed, ms. */
export function pauseMs(tries: number): number {
  return Math.min(firstPauseMs * 2 ** Math.max(0, tries - 1), longestPauseMs)
}

/** The level that a verification has to go to: what found a damage has to be done again to clear it. */
export function levelFor({ state, damageLevel }: VerificationCandidate, wanted: VerifyLevel): VerifyLevel {
  if (state !== 'SUSPECT' || damageLevel === null || damageLevel === 'WRITTEN') return wanted
  return rankOf(damageLevel) > rankOf(wanted) ? damageLevel : wanted
}

function rankOf(level: ProofLevel): number {
  return proofLevels.indexOf(level)
}

function latestOf(moments: readonly (Date | null)[]): Date | null {
  return moments.reduce((latest, each) => (each && (!latest || each > latest) ? each : latest), null)
}
