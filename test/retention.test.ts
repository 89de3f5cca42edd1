import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { PolicyRules } from '../src/policy/policy.ts'
import { type PreviewedPoint, pointsAt, previewRules } from '../src/policy/preview.ts'
import { decideRetention } from '../src/retention/decide-retention.ts'
import type { LastTagged, RetentionRules } from '../src/retention/rules.ts'
import { retention, schedule, zone } from './kit/rules.ts'

const rules: RetentionRules = {
  timeZone: 'Europe/Berlin',
  defaultRetention: 'P7D',
  retentionRules: [
    { tag: 'DAILY', duration: 'P30D' },
    { tag: 'WEEKLY', duration: 'P12W' },
    { tag: 'MONTHLY', duration: 'P1Y' },
    { tag: 'YEARLY', duration: 'P10Y' },
  ],
}

describe('the tag of a new recovery point', () => {
  // Monday, 13:00 in Berlin.
  const createdAt = new Date('2026-03-02T12:00:00Z')

  it.for<[string, LastTagged, string, string, string]>([
    ['the year has none yet', {}, 'YEARLY', '2036-03-02', 'The first successful backup of 2026.'],
    [
      'the year has one, the month has none',
      { YEARLY: '2026-01-01T01:00:00Z' },
      'MONTHLY',
      '2027-03-02',
      'The first successful backup of 2026-03.',
    ],
    [
      'the month has the one of the year',
      { YEARLY: '2026-03-01T01:00:00Z' },
      'WEEKLY',
      '2026-05-25',
      'The first successful backup of 2026-W10.',
    ],
    [
      'the last one of the month was made on the last day of the month before, at night',
      { YEARLY: '2026-01-01T01:00:00Z', MONTHLY: '2026-02-28T22:59:59Z' },
      'MONTHLY',
      '2027-03-02',
      'The first successful backup of 2026-03.',
    ],
    [
      'the month and, since Sunday, the week before have theirs',
      { YEARLY: '2026-01-01T01:00:00Z', MONTHLY: '2026-02-28T23:00:00Z', WEEKLY: '2026-03-01T22:59:59Z' },
      'WEEKLY',
      '2026-05-25',
      'The first successful backup of 2026-W10.',
    ],
    [
      'the week has one since midnight, which serves the day too',
      { YEARLY: '2026-01-01T01:00:00Z', MONTHLY: '2026-02-28T23:00:00Z', WEEKLY: '2026-03-01T23:00:00Z' },
      'DEFAULT',
      '2026-03-09',
      'It falls under no other rule.',
    ],
  ])('is the first one with a free period when %s', ([_title, lastTagged, tag, until, reason]) => {
    expect(decideRetention(rules, { createdAt, lastTagged, requested: 'SCHEDULE' })).toEqual({
      tag,
      expiresAt: new Date(`${until}T12:00:00Z`),
      reason,
    })
  })

  it('is the one of the day when the longer periods have theirs', () => {
    const lastTagged = {
      YEARLY: '2026-01-01T01:00:00Z',
      MONTHLY: '2026-03-01T01:00:00Z',
      WEEKLY: '2026-03-02T01:00:00Z',
    }
    expect(
      decideRetention(rules, { createdAt: new Date('2026-03-03T12:00:00Z'), lastTagged, requested: 'SCHEDULE' }),
    ).toMatchObject({ tag: 'DAILY', reason: 'The first successful backup of 2026-03-03.' })
  })

  it('goes by the calendar of the zone', () => {
    const night = new Date('2026-12-31T23:30:00Z')
    const decide = (timeZone: string) =>
      decideRetention(
        { ...rules, timeZone },
        { createdAt: night, lastTagged: { YEARLY: '2026-01-01T12:00:00Z' }, requested: 'SCHEDULE' },
      )
    expect(decide('Europe/Berlin')).toMatchObject({ tag: 'YEARLY', reason: 'The first successful backup of 2027.' })
    expect(decide('UTC')).toMatchObject({ tag: 'MONTHLY', reason: 'The first successful backup of 2026-12.' })
  })

  it('is the one that was asked for, however many the period has, and the default one without such a rule', () => {
    const lastTagged = { YEARLY: '2026-01-01T01:00:00Z' }
    expect(decideRetention(rules, { createdAt, lastTagged, requested: 'YEARLY' })).toMatchObject({
      tag: 'YEARLY',
      reason: 'The tag YEARLY was asked for.',
    })
    const few = { ...rules, retentionRules: rules.retentionRules.slice(0, 1) }
    expect(decideRetention(few, { createdAt, lastTagged: {}, requested: 'YEARLY' })).toMatchObject({ tag: 'DEFAULT' })
    expect(decideRetention(rules, { createdAt, lastTagged: {}, requested: 'DEFAULT' })).toMatchObject({
      tag: 'DEFAULT',
    })
  })
})

describe('any policy', () => {
  const start = fc.date({ min: new Date('2020-01-01'), max: new Date('2040-01-01'), noInvalidDate: true })
  const policies = fc.record({ timeZone: zone, schedule, kept: retention, start })
  const preview = ({ timeZone, schedule: times, kept, start: from }: Each) => {
    const all: PolicyRules = { timeZone, schedule: times, ...kept }
    return previewRules(all, { start: from, horizon: 'P60D' })
  }
  interface Each {
    timeZone: string
    schedule: PolicyRules['schedule']
    kept: Pick<PolicyRules, 'defaultRetention' | 'retentionRules'>
    start: Date
  }
  const madeAt = (points: readonly PreviewedPoint[]) => points.map(({ createdAt }) => createdAt.getTime())

  it('keeps with one rule more, at any moment, all points that it keeps without it', () => {
    fc.assert(
      fc.property(policies, fc.integer({ min: 0, max: 3 }), fc.integer({ min: 0, max: 70 }), (each, index, days) => {
        const { retentionRules } = each.kept
        const fewer = { ...each.kept, retentionRules: retentionRules.filter((_rule, place) => place !== index) }
        const moment = new Date(each.start.getTime() + days * 86_400_000)
        const without = madeAt(pointsAt(preview({ ...each, kept: fewer }), moment))
        const withRule = new Set(madeAt(pointsAt(preview(each), moment)))
        expect(without.filter((point) => !withRule.has(point))).toEqual([])
      }),
      { numRuns: 80 },
    )
  })

  it('gives each period with a rule at most one point of its tag', () => {
    fc.assert(
      fc.property(policies, (each) => {
        const { points } = preview(each)
        const named = points.filter(({ tag }) => tag !== 'DEFAULT').map(({ reason }) => reason)
        expect(new Set(named).size).toBe(named.length)
      }),
      { numRuns: 50 },
    )
  })

  it('always keeps the newest point', () => {
    fc.assert(
      fc.property(policies, fc.nat(), (each, place) => {
        const made = preview(each)
        const point = made.points[place % Math.max(1, made.points.length)]
        if (!point) return
        expect(pointsAt(made, point.createdAt).at(-1)).toMatchObject({ createdAt: point.createdAt })
      }),
      { numRuns: 50 },
    )
  })
})
