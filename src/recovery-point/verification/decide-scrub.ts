import type { VerifyLevel } from '../recovery-point.ts'
import { dayMs, hourMs, levelFor, mayBeTriedAt, readAtOf, type VerificationCandidate } from './candidate.ts'
import type { Pauses } from './decide-verification.ts'

/** What is known of a vault at the moment of the decision. */
export interface ScrubFacts {
  now: Date
  /** All bytes are read again within so many days; 0: never. */
  scrubDays: number
  /** How many points it keeps that are not on their way out. */
  pointCount: number
  /** The points that were read longest ago, the one that waits longest first. */
  oldest: readonly VerificationCandidate[]
  /** How many more verifications may wait at once. */
  room: number
  pauses: Pauses
}

export interface ScrubDecision {
  starts: { pointId: string; level: VerifyLevel }[]
  lookAgainAt: Date
}

/** As for decoding, but later: what a policy has decoded in time is read by that, and not once more. */
const dueShare = 0.85

const shortestLookMs = 60_000
const longestLookMs = hourMs

/**
 * Which points of a vault to have read again now, and when to ask again. Each is due when most of its period is over; those
 * that are late are read one after another, spread evenly over what is left of it.
 */
export function decideScrub({ now, scrubDays, pointCount, oldest, room, pauses }: ScrubFacts): ScrubDecision {
  const nowMs = now.getTime()
  if (scrubDays === 0) return { starts: [], lookAgainAt: new Date(nowMs + longestLookMs) }
  const periodMs = scrubDays * dayMs
  const wishes = oldest
    .filter(({ isPending }) => !isPending)
    .map((point) => {
      const level = levelFor(point, 'READ_BACK')
      const dueAt = (readAtOf(point)?.getTime() ?? Number.NEGATIVE_INFINITY) + dueShare * periodMs
      return { point, level, startAt: Math.max(dueAt, mayBeTriedAt(point, level), pauses[level]?.getTime() ?? 0) }
    })
  const paceMs = ((1 - dueShare) * periodMs) / Math.max(1, pointCount)
  const atOnce = Math.min(Math.max(1, Math.ceil(shortestLookMs / paceMs)), Math.max(0, room))
  const starts = wishes.filter(({ startAt }) => startAt <= nowMs).slice(0, atOnce)
  // Where there are points and none could be looked at, somebody has them at hand for a moment.
  const patienceMs = oldest.length === 0 && pointCount > 0 ? shortestLookMs : longestLookMs
  const nextMs = Math.min(...wishes.map(({ startAt }) => startAt), nowMs + patienceMs)
  const lookAgainMs = starts.length > 0 ? nowMs + Math.min(paceMs, longestLookMs * 24) : nextMs
  return {
    starts: starts.map(({ point, level }) => ({ pointId: point.id, level })),
    lookAgainAt: new Date(Math.max(lookAgainMs, nowMs + shortestLookMs)),
  }
}
