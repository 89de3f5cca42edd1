import { InvalidInput } from '../refusal.ts'
import { type KeptBecause, whyItStays } from '../retention/decide-expiry.ts'
import { decideRetention } from '../retention/decide-retention.ts'
import { addDuration, parseDuration } from '../retention/duration.ts'
import type { PeriodTag, RetentionTag } from '../retention/rules.ts'
import type { PolicyRules } from './policy.ts'
import { startsBetween } from './schedule.ts'

/** A recovery point as it would be made, and when it would go. */
export interface PreviewedPoint {
  createdAt: Date
  tag: RetentionTag
  /** One sentence that says why it has that tag. */
  reason: string
  expiresAt: Date
  /** When it is chosen for removal: its time is over, and there is a newer one. Null: it is the newest of all. */
  goesAt: Date | null
}

export interface PolicyPreview {
  start: Date
  end: Date
  /** In order of time. */
  points: PreviewedPoint[]
  /** When each but the newest goes, in order of time, milliseconds. */
  departures: Float64Array
  /** The most points that exist at once; `maxAt` is when they first do, null when there is never one. */
  maxPointCount: number
  maxAt: Date | null
}

const mostStarts = 100_000
const shortestDays = 1
const longestDays = 3653
const dayMs = 86_400_000

/**
 * What a policy would keep if every backup by its schedule succeeded, at its nominal time, from a moment on for a horizon
 * (ISO 8601, 1 day to 10 years). Decides by the same rules as backups and expiry do. Throws InvalidInput.
 */
export function previewRules(rules: PolicyRules, { start, horizon }: { start: Date; horizon: string }): PolicyPreview {
  const end = endOf(start, horizon)
  const after = new Date(start.getTime() - 1)
  const starts = startsBetween(rules, { after, upTo: end, atMost: mostStarts + 1 })
  if (starts.length > mostStarts) {
    throw new InvalidInput('horizon', `The schedule starts more than ${mostStarts} backups in ${horizon}.`, [
      'Choose a shorter horizon.',
    ])
  }
  const points = makePoints(rules, starts)
  const departures = Float64Array.from(points.slice(0, -1), ({ goesAt }) => goesAt?.getTime() ?? 0).sort()
  return { start, end, points, departures, ...greatestCount(points, departures) }
}

/** The points that exist at a moment, with every reason that each stays for. */
export function pointsAt({ points }: PolicyPreview, at: Date): (PreviewedPoint & { keptBecause: KeptBecause[] })[] {
  const made = points.slice(
    0,
    countUpTo(points.length, (index) => points[index]?.createdAt.getTime() ?? 0, at),
  )
  const newest = String(made.length - 1)
  const guarded = { newestRestorable: newest, bestProven: newest }
  return made.flatMap((point, index) => {
    const candidate = { id: String(index), expiresAt: point.expiresAt, isHeld: false, isBeingRead: false }
    const keptBecause = whyItStays(candidate, { now: at, standstill: null, isAnomalous: false, guarded })
    return keptBecause.length > 0 ? [{ ...point, keptBecause }] : []
  })
}

/** How many points exist at a moment. */
export function countAt({ points, departures }: PolicyPreview, at: Date): number {
  const made = countUpTo(points.length, (index) => points[index]?.createdAt.getTime() ?? 0, at)
  const gone = countUpTo(departures.length, (index) => departures[index] ?? 0, at)
  return made - gone
}

function makePoints(rules: PolicyRules, starts: readonly Date[]): PreviewedPoint[] {
  const lastTagged: Partial<Record<PeriodTag, number>> = {}
  return starts.map((createdAt, index) => {
    const { tag, expiresAt, reason } = decideRetention(rules, { createdAt, lastTagged, requested: 'SCHEDULE' })
    if (tag !== 'DEFAULT') lastTagged[tag] = createdAt.getTime()
    const next = starts[index + 1]
    const goesAt = next && next.getTime() > expiresAt.getTime() ? next : expiresAt
    return { createdAt, tag, reason, expiresAt, goesAt: next ? goesAt : null }
  })
}

/** The count grows only when a point is made, so it is greatest at such a moment. */
function greatestCount(
  points: readonly PreviewedPoint[],
  departures: Float64Array,
): Pick<PolicyPreview, 'maxPointCount' | 'maxAt'> {
  let maxPointCount = 0
  let maxAt: Date | null = null
  let gone = 0
  for (const [index, { createdAt }] of points.entries()) {
    while ((departures[gone] ?? Number.POSITIVE_INFINITY) <= createdAt.getTime()) gone += 1
    const count = index + 1 - gone
    if (count > maxPointCount) {
      maxPointCount = count
      maxAt = createdAt
    }
  }
  return { maxPointCount, maxAt }
}

/** How many of so many times in order lie at a moment or before it. */
function countUpTo(length: number, timeOf: (index: number) => number, at: Date): number {
  let low = 0
  let high = length
  while (low < high) {
    const middle = (low + high) >> 1
    if (timeOf(middle) <= at.getTime()) low = middle + 1
    else high = middle
  }
  return low
}

function endOf(start: Date, horizon: string): Date {
  const duration = parseDuration(horizon)
  const end = duration && addDuration(start, duration)
  const days = end ? (end.getTime() - start.getTime()) / dayMs : 0
  // Put so that a moment too far away to be a Date is out of range too.
  if (end && days >= shortestDays && days <= longestDays) return end
  throw new InvalidInput('horizon', `${horizon.slice(0, 60).toWellFormed()} is not a horizon from 1 day to 10 years.`, [
    'Choose a duration from P1D to P10Y.',
  ])
}
