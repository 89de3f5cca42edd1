import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { pauseMs, type VerificationCandidate } from '../src/recovery-point/verification/candidate.ts'
import { decidePauses } from '../src/recovery-point/verification/decide-pauses.ts'
import { decideScrub } from '../src/recovery-point/verification/decide-scrub.ts'
import { decideVerification, type VerificationFacts } from '../src/recovery-point/verification/decide-verification.ts'
import { now } from './kit/lifecycle.ts'
import { candidate, day } from './kit/verification.ts'

const hour = 3_600_000
const ago = (days: number) => new Date(now.getTime() - days * day)
const none = { decode: null, restoreEvery: null }
const within = { decode: { kind: 'WITHIN' as const, duration: 'P10D' }, restoreEvery: null }
const everyPoint = { decode: { kind: 'EVERY_POINT' as const }, restoreEvery: null }
const weekly = { decode: null, restoreEvery: 'P7D' }

function decide(
  rules: VerificationFacts['rules'],
  points: VerificationCandidate[],
  more: Partial<VerificationFacts> = {},
) {
  const newest = points.at(-1) ?? null
  const facts = { now, rules, pointCount: points.length, newest, lastRestoredAt: null, oldest: points, pauses: {} }
  return decideVerification({ ...facts, ...more })
}

describe('what a policy has verified', () => {
  const tried = (daysAgo: number, changes: Partial<VerificationCandidate> = {}) => ({
    verificationTriedAt: ago(daysAgo),
    verificationTriedLevel: 'DECODED' as const,
    verificationTries: 1,
    ...changes,
  })

  test.for<[string, VerificationFacts['rules'], VerificationCandidate, string | null]>([
    ['asks for nothing', none, candidate(ago(100)), null],
    ['wants every point decoded, and it was just made', everyPoint, candidate(now), 'DECODED'],
    ['wants every point decoded once, and it was', everyPoint, candidate(ago(90), { decodedAt: ago(80) }), null],
    ['wants points decoded within ten days, and it is young', within, candidate(ago(6)), null],
    ['wants points decoded within ten days, and it is eight days old', within, candidate(ago(8)), 'DECODED'],
    ['has decoded it lately', within, candidate(ago(90), { decodedAt: ago(3) }), null],
    ['has decoded it long ago', within, candidate(ago(90), { decodedAt: ago(8) }), 'DECODED'],
    ['has restored it lately, which decodes it too', within, candidate(ago(90), { restoredAt: ago(3) }), null],
    ['wants a restore, and there was none', weekly, candidate(ago(1)), 'RESTORED'],
    ['has it verified already', within, candidate(ago(8), { isPending: true }), null],
    ['failed with it within the hour', within, candidate(ago(8), tried(0.5 / 24)), null],
    ['failed with it two hours ago', within, candidate(ago(8), tried(2 / 24)), 'DECODED'],
    [
      'failed with it for the fifth time two hours ago',
      within,
      candidate(ago(8), tried(2 / 24, { verificationTries: 5 })),
      null,
    ],
    ['succeeded after it had failed', within, candidate(ago(90), tried(9, { decodedAt: ago(8) })), 'DECODED'],
    [
      'failed to restore it, which does not keep it from being decoded',
      within,
      candidate(ago(8), tried(0.01, { verificationTriedLevel: 'RESTORED' })),
      'DECODED',
    ],
    ['found it damaged three days ago', within, candidate(ago(8), { state: 'SUSPECT', ...tried(3) }), null],
    ['found it damaged eight days ago', within, candidate(ago(20), { state: 'SUSPECT', ...tried(8) }), 'DECODED'],
    [
      'found it damaged by a restore, which has to be done again',
      within,
      candidate(ago(20), { state: 'SUSPECT', damageLevel: 'RESTORED' }),
      'RESTORED',
    ],
  ])('when it %s', ([, rules, point, level]) => {
    expect(decide(rules, [point]).start?.level ?? null).toBe(level)
  })

  test('is restored on the newest point when the last restore of any is too long ago', () => {
    const [old, newest] = [candidate(ago(9), { restoredAt: ago(6) }), candidate(ago(1))]
    expect(decide(weekly, [old, newest], { lastRestoredAt: ago(6) })).toEqual({
      start: null,
      lookAgainAt: new Date(now.getTime() + 6 * hour),
    })
    expect(decide(weekly, [old, newest], { lastRestoredAt: ago(7) }).start).toEqual({
      pointId: newest.id,
      level: 'RESTORED',
    })
    expect(decide(weekly, [], { newest: null }).start).toBeNull()
  })

  test('is the point that has waited longest, and the next one when that cannot be', () => {
    const points = [candidate(ago(30), { isPending: true }), candidate(ago(20)), candidate(ago(10))]
    expect(decide(within, points).start?.pointId).toBe(points[1]?.id)
  })

  test('is nothing at a level at which the vault keeps failing', () => {
    const until = new Date(now.getTime() + hour)
    expect(decide(within, [candidate(ago(8))], { pauses: { DECODED: until } })).toEqual({
      start: null,
      lookAgainAt: until,
    })
    expect(decide(within, [candidate(ago(8))], { pauses: { RESTORED: until } }).start).not.toBeNull()
  })

  test('is late points one after another, not all at once', () => {
    const points = Array.from({ length: 30 }, () => candidate(ago(40)))
    const { start, lookAgainAt } = decide(within, points)
    expect(start).not.toBeNull()
    // Three days for thirty points.
    expect(lookAgainAt.getTime() - now.getTime()).toBeCloseTo((3 * day) / 30, -3)
  })
})

describe('every point is decoded in time', () => {
  const arrivals = fc.array(fc.integer({ min: 0, max: 60 }), { maxLength: 60 })

  /** Lets the clock look again and again while each verification succeeds; answers the longest that a point was left, ms. */
  function longestLeft({
    periodDays,
    agesDays,
    comesAt,
  }: {
    periodDays: number
    agesDays: number[]
    comesAt: number[]
  }) {
    const rules = { decode: { kind: 'WITHIN' as const, duration: `P${periodDays}D` }, restoreEvery: null }
    const points = agesDays.map((days) => candidate(ago(days)))
    const coming = comesAt.map((days) => candidate(new Date(now.getTime() + days * day)))
    const begin = now.getTime()
    const end = begin + 3 * periodDays * day
    let longest = 0
    const since = (point: VerificationCandidate) => Math.max(begin, (point.decodedAt ?? point.createdAt).getTime())
    for (let at = begin; at < end; ) {
      const present = [...points, ...coming.filter(({ createdAt }) => createdAt.getTime() <= at)]
      const oldest = present
        .toSorted(
          (one, other) => (one.decodedAt ?? one.createdAt).getTime() - (other.decodedAt ?? other.createdAt).getTime(),
        )
        .slice(0, 5)
      const newest = present.at(-1) ?? null
      const facts = { rules, pointCount: present.length, newest, lastRestoredAt: null, oldest, pauses: {} }
      const { start, lookAgainAt } = decideVerification({ now: new Date(at), ...facts })
      const chosen = present.find(({ id }) => id === start?.pointId)
      for (const point of present) longest = Math.max(longest, at - since(point))
      if (chosen) chosen.decodedAt = new Date(at)
      expect(lookAgainAt.getTime()).toBeGreaterThan(at)
      // The clock looks every quarter of a minute.
      at = Math.ceil(lookAgainAt.getTime() / 15_000) * 15_000
    }
    return longest
  }

  test('whatever there was before, and whenever others are made', () => {
    const ages = fc.array(fc.integer({ min: 0, max: 400 }), { maxLength: 60 })
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 90 }), ages, arrivals, (periodDays, agesDays, comesAt) => {
        const left = longestLeft({ periodDays, agesDays, comesAt: comesAt.toSorted((one, other) => one - other) })
        // A minute for each look that may be needed.
        expect(left).toBeLessThanOrEqual(periodDays * day + 120 * 75_000)
      }),
      { numRuns: 150 },
    )
  })
})

describe('what is read again', () => {
  const scrub = (points: VerificationCandidate[], more = {}) =>
    decideScrub({ now, scrubDays: 30, pointCount: points.length, oldest: points, room: 4, pauses: {}, ...more })
  const levels = (points: VerificationCandidate[], more = {}) => scrub(points, more).starts.map(({ level }) => level)

  test.for<[string, VerificationCandidate, string[]]>([
    ['a point read lately', candidate(ago(20)), []],
    ['a point read long ago', candidate(ago(26)), ['READ_BACK']],
    ['a point read long ago and decoded since', candidate(ago(90), { decodedAt: ago(5) }), []],
    ['a point that was never read', candidate(now, { proof: 'WRITTEN' }), ['READ_BACK']],
    ['a point that is being verified', candidate(ago(90), { isPending: true }), []],
    ['a damaged point', candidate(ago(90), { state: 'SUSPECT', damageLevel: 'DECODED' }), ['DECODED']],
  ])('%s', ([, point, expected]) => {
    expect(levels([point])).toEqual(expected)
  })

  test('is nothing in a vault that is not scrubbed, or where enough waits, or that ails', () => {
    const late = [candidate(ago(90))]
    expect(levels(late, { scrubDays: 0 })).toEqual([])
    expect(levels(late, { room: 0 })).toEqual([])
    expect(levels(late, { pauses: { READ_BACK: new Date(now.getTime() + hour) } })).toEqual([])
  })

  test('is spread over what is left of the period, a few at once where there are many', () => {
    const late = Array.from({ length: 8 }, () => candidate(ago(90)))
    const few = scrub(late)
    expect(few.starts).toHaveLength(1)
    expect(few.lookAgainAt.getTime() - now.getTime()).toBe(Math.round((0.15 * 30 * day) / 8))
    expect(scrub(late, { pointCount: 100_000 }).starts).toHaveLength(4)
    expect(scrub(late, { pointCount: 100_000 }).lookAgainAt.getTime() - now.getTime()).toBe(60_000)
  })
})

describe('a vault that ails', () => {
  const failed = (minutesAgo: number, changes: Partial<VerificationCandidate> = {}) =>
    candidate(ago(90), {
      verificationTriedAt: new Date(now.getTime() - minutesAgo * 60_000),
      verificationTriedLevel: 'READ_BACK',
      verificationTries: 1,
      ...changes,
    })
  const minutesFrom = (at: Date | undefined) => at && (at.getTime() - now.getTime()) / 60_000

  test('is left alone for longer and longer while nothing there succeeds', () => {
    const after = (count: number) =>
      minutesFrom(decidePauses(Array.from({ length: count }, (_, index) => failed(index))).READ_BACK)
    expect([1, 2, 3, 4, 5].map(after)).toEqual([undefined, 15, 30, 60, 120])
    expect(after(16)).toBe(24 * 60)
    // One point that fails twice is no vault that ails less than two that do.
    expect(minutesFrom(decidePauses([failed(0, { verificationTries: 3 })]).READ_BACK)).toBe(30)
  })

  test('does not ail for a point that is damaged, nor for one that fails beside others that do not', () => {
    const good = failed(1, { lastReadAt: now })
    expect(decidePauses([failed(0), good, failed(2), failed(3)])).toEqual({})
    expect(decidePauses([failed(0, { state: 'SUSPECT' }), failed(1, { state: 'SUSPECT' })])).toEqual({})
    expect(decidePauses([failed(0, { isPending: true }), failed(1)])).toEqual({})
    expect(Object.keys(decidePauses([failed(0), failed(1)]))).toEqual(['READ_BACK'])
  })
})

test('a point is left alone twice as long after each failure, and no longer than a week', () => {
  expect([1, 2, 3, 20].map((tries) => pauseMs(tries) / hour)).toEqual([1, 2, 4, 7 * 24])
})
