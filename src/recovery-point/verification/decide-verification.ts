import type { ProofRules } from '../../policy/policy.ts'
import { addDuration, parseDuration } from '../../retention/duration.ts'
import type { VerifyLevel } from '../recovery-point.ts'
import { dayMs, decodedAtOf, hourMs, levelFor, mayBeTriedAt, type VerificationCandidate } from './candidate.ts'

/** Until when nothing is begun at a level in a vault where it keeps failing. */
export type Pauses = Readonly<Partial<Record<VerifyLevel, Date>>>

/** What is known of an instance at the moment of the decision. */
export interface VerificationFacts {
  now: Date
  rules: ProofRules['verification']
  /** How many points it has that are not on their way out. */
  pointCount: number
  /** The newest point that can be restored from. */
  newest: VerificationCandidate | null
  /** When any of its points was last restored for proof. */
  lastRestoredAt: Date | null
  /** The points that were decoded longest ago, or made and never decoded; the one that waits longest first. */
  oldest: readonly VerificationCandidate[]
  pauses: Pauses
}

export interface VerificationDecision {
  /** What to begin now; null: nothing. */
  start: { pointId: string; level: VerifyLevel } | null
  /** When to decide again. */
  lookAgainAt: Date
}

/**
 * A point is decoded when seven tenths of its time are over, and those that are late are begun at such a pace that all of
 * them would be done in the three tenths that are left: none is ever later than the policy says, and none come at once.
 */
const dueShare = 0.7

const shortestLookMs = 60_000
const longestLookMs = 6 * hourMs
const pendingLookMs = 10 * 60_000
const longestPaceMs = dayMs

/** Which of an instance's points to have verified now by its policy, one at most, and when to ask again. */
export function decideVerification(facts: VerificationFacts): VerificationDecision {
  const nowMs = facts.now.getTime()
  const wishes = [...restoreWishes(facts), ...decodeWishes(facts)]
    .map((wish) => ({ ...wish, startAt: Math.max(wish.dueAt, ...whatHolds(wish, facts)) }))
    .toSorted((one, other) => one.dueAt - other.dueAt)
  const chosen = wishes.find(({ startAt }) => startAt <= nowMs)
  const nextMs = chosen
    ? nowMs + chosen.paceMs
    : Math.min(...wishes.map(({ startAt }) => startAt), nowMs + longestLookMs)
  return {
    start: chosen ? { pointId: chosen.point.id, level: chosen.level } : null,
    lookAgainAt: new Date(Math.max(nextMs, nowMs + shortestLookMs)),
  }
}

interface Wish {
  point: VerificationCandidate
  level: VerifyLevel
  /** When the policy wants it, ms since 1970. */
  dueAt: number
  /** How long after it the next one may be begun, ms. */
  paceMs: number
}

function restoreWishes({ now, rules, newest, lastRestoredAt }: VerificationFacts): Wish[] {
  if (rules.restoreEvery === null || !newest) return []
  const dueAt = lastRestoredAt === null ? newest.createdAt.getTime() : endOf(lastRestoredAt, rules.restoreEvery)
  return dueAt > now.getTime() + longestLookMs ? [] : [{ point: newest, level: 'RESTORED', dueAt, paceMs: 0 }]
}

function decodeWishes({ rules, oldest, pointCount }: VerificationFacts): Wish[] {
  const { decode } = rules
  if (!decode) return []
  return oldest.flatMap((point): Wish[] => {
    const [decodedAt, level] = [decodedAtOf(point), levelFor(point, 'DECODED')]
    const since = decodedAt ?? point.createdAt
    if (decode.kind === 'EVERY_POINT') {
      return decodedAt === null ? [{ point, level, dueAt: since.getTime(), paceMs: 0 }] : []
    }
    const periodMs = endOf(since, decode.duration) - since.getTime()
    const paceMs = Math.min(((1 - dueShare) * periodMs) / Math.max(1, pointCount), longestPaceMs)
    return [{ point, level, dueAt: since.getTime() + dueShare * periodMs, paceMs }]
  })
}

function whatHolds({ point, level }: Wish, { now, pauses }: VerificationFacts): number[] {
  return [
    mayBeTriedAt(point, level),
    pauses[level]?.getTime() ?? 0,
    point.isPending ? now.getTime() + pendingLookMs : 0,
  ]
}

/** When a duration that a policy holds has gone by, ms since 1970. */
export function endOf(start: Date, text: string): number {
  const duration = parseDuration(text)
  if (!duration) throw new Error(`Not a duration: ${text}`)
  return addDuration(start, duration).getTime()
}
