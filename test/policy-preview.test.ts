import { describe, expect, it } from 'vitest'
import type { PolicyRules } from '../src/policy/policy.ts'
import { countAt, pointsAt, previewRules } from '../src/policy/preview.ts'
import { timelineOf } from '../src/policy/preview-timeline.ts'

const at = (time: string) => new Date(time)

const rules: PolicyRules = {
  timeZone: 'Europe/Berlin',
  schedule: { kind: 'WEEKLY', weekdays: ['SUNDAY'], times: ['02:30'], spreadMinutes: 10 },
  defaultRetention: 'P7D',
  retentionRules: [
    { tag: 'WEEKLY', duration: 'P35D' },
    { tag: 'MONTHLY', duration: 'P1Y' },
    { tag: 'YEARLY', duration: 'P10Y' },
  ],
}
const start = at('2026-01-01T00:00:00Z')

const shown = (moment: string, horizon = 'P2Y') =>
  pointsAt(previewRules(rules, { start, horizon }), at(moment)).map(
    ({ createdAt, tag, keptBecause }) => `${createdAt.toISOString().slice(0, 16)} ${tag} ${keptBecause.join(' ')}`,
  )

describe('a preview', () => {
  it('shows which points exist on a date and why', () => {
    expect(shown('2026-03-10T00:00:00Z')).toEqual([
      '2026-01-04T01:30 YEARLY WITHIN_RETENTION',
      '2026-02-01T01:30 MONTHLY WITHIN_RETENTION',
      '2026-02-08T01:30 WEEKLY WITHIN_RETENTION',
      '2026-02-15T01:30 WEEKLY WITHIN_RETENTION',
      '2026-02-22T01:30 WEEKLY WITHIN_RETENTION',
      '2026-03-01T01:30 MONTHLY WITHIN_RETENTION',
      '2026-03-08T01:30 WEEKLY WITHIN_RETENTION NEWEST_RESTORABLE BEST_PROVEN',
    ])
    expect(shown('2026-01-04T01:29:59.999Z')).toEqual([])
    expect(shown('2026-01-04T01:30:00Z')).toHaveLength(1)
  })

  it('shows of two years that a weekly, a monthly and a yearly rule keep their points', () => {
    const kept = shown('2027-12-31T00:00:00Z')
    expect(kept.filter((each) => each.includes('YEARLY'))).toHaveLength(2)
    expect(kept.filter((each) => each.includes('MONTHLY'))).toHaveLength(11)
    expect(kept.filter((each) => each.includes('WEEKLY'))).toHaveLength(4)
  })

  it('says why each point has its tag, and when it goes', () => {
    const { points } = previewRules(rules, { start, horizon: 'P30D' })
    expect(points).toMatchObject([
      { tag: 'YEARLY', reason: 'The first successful backup of 2026.', expiresAt: at('2036-01-04T01:30:00Z') },
      { tag: 'WEEKLY', reason: 'The first successful backup of 2026-W02.', goesAt: at('2026-02-15T01:30:00Z') },
      { tag: 'WEEKLY', reason: 'The first successful backup of 2026-W03.' },
      { tag: 'WEEKLY', reason: 'The first successful backup of 2026-W04.', goesAt: null },
    ])
  })

  it('keeps the newest point after its time until there is another', () => {
    const sparse: PolicyRules = {
      ...rules,
      timeZone: 'UTC',
      schedule: { kind: 'MONTHLY', daysOfMonth: [1], onLastDay: false, times: ['00:00'], spreadMinutes: 0 },
      retentionRules: [],
    }
    const preview = previewRules(sparse, { start, horizon: 'P90D' })
    expect(preview).toMatchObject({ maxPointCount: 1, maxAt: start })
    expect(preview.points).toMatchObject([
      { expiresAt: at('2026-01-08T00:00:00Z'), goesAt: at('2026-02-01T00:00:00Z') },
      { goesAt: at('2026-03-01T00:00:00Z') },
      { goesAt: at('2026-04-01T00:00:00Z') },
      { goesAt: null },
    ])
    expect(pointsAt(preview, at('2026-01-20T00:00:00Z'))).toMatchObject([
      { createdAt: start, keptBecause: ['NEWEST_RESTORABLE', 'BEST_PROVEN'] },
    ])
  })

  it('counts as many points as it shows, at every moment, and the most of them', () => {
    const preview = previewRules(rules, { start, horizon: 'P3Y' })
    const moments = preview.points.flatMap(({ createdAt, goesAt }) => [createdAt, goesAt ?? createdAt])
    const counts = moments.map((moment) => {
      expect(countAt(preview, moment)).toBe(pointsAt(preview, moment).length)
      return countAt(preview, moment)
    })
    expect(preview.maxPointCount).toBe(Math.max(...counts))
    expect(preview.maxAt && countAt(preview, preview.maxAt)).toBe(preview.maxPointCount)
  })

  it('has nothing to show of a policy without a schedule', () => {
    const preview = previewRules({ ...rules, schedule: null }, { start, horizon: 'P1Y' })
    expect(preview).toMatchObject({ points: [], maxPointCount: 0, maxAt: null })
    expect(pointsAt(preview, at('2026-06-01T00:00:00Z'))).toEqual([])
  })

  it('is laid out in time with a thousand entries at most', () => {
    const preview = previewRules(rules, { start, horizon: 'P1Y' })
    expect(timelineOf(preview, null)).toHaveLength(366)
    expect(timelineOf(previewRules(rules, { start, horizon: 'P10Y' }), null)).toHaveLength(914)
    const monthly = timelineOf(preview, 'P1M')
    expect(monthly).toHaveLength(13)
    expect(monthly.at(-1)).toEqual({ at: preview.end, pointCount: countAt(preview, preview.end) })
    for (const every of ['PT0S', 'PT1M', 'P0D', 'a day']) {
      expect(() => timelineOf(preview, every)).toThrow('does not divide the horizon')
    }
  })

  it('looks ahead from a day to ten years, over a hundred thousand backups at most', () => {
    for (const horizon of ['PT23H', 'P0D', 'P11Y', 'P999999Y', 'soon']) {
      expect(() => previewRules(rules, { start, horizon })).toThrow('is not a horizon')
    }
    const hourly: PolicyRules = {
      ...rules,
      schedule: { kind: 'HOURLY', everyHours: 1, minute: 0, spreadMinutes: 0 },
      defaultRetention: 'P10Y',
      retentionRules: [],
    }
    const preview = previewRules(hourly, { start, horizon: 'P10Y' })
    expect(preview.points).toHaveLength(87_649)
    // The first one goes as the last one is made.
    expect(preview.maxPointCount).toBe(87_648)
  })
})
