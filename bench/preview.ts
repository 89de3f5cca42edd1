import type { PolicyRules, Schedule } from '../src/policy/policy.ts'
import { previewRules } from '../src/policy/preview.ts'
import { timelineOf } from '../src/policy/preview-timeline.ts'
import { median, row } from './kit/report.ts'

const rounds = Number(process.env.BENCH_ROUNDS ?? 15)

const schedules: Record<string, Schedule> = {
  'daily, 10 years': { kind: 'DAILY', times: ['02:30'], spreadMinutes: 10 },
  'weekly, 10 years': { kind: 'WEEKLY', weekdays: ['SUNDAY'], times: ['02:30'], spreadMinutes: 10 },
  'hourly, 10 years': { kind: 'HOURLY', everyHours: 1, minute: 5, spreadMinutes: 10 },
}

/** How long previews take of policies with a rule for every period, in a zone whose clock changes, with their timelines. */
row('preview', 'first', 'median', 'points', 'at most at once')
for (const [name, schedule] of Object.entries(schedules)) {
  const rules: PolicyRules = {
    timeZone: 'Europe/Berlin',
    schedule,
    defaultRetention: 'P7D',
    retentionRules: [
      { tag: 'DAILY', duration: 'P30D' },
      { tag: 'WEEKLY', duration: 'P12W' },
      { tag: 'MONTHLY', duration: 'P1Y' },
      { tag: 'YEARLY', duration: 'P10Y' },
    ],
  }
  const figures: number[] = []
  let found = ''
  let most = ''
  for (let round = 0; round < rounds; round++) {
    const startedAt = performance.now()
    const preview = previewRules(rules, { start: new Date('2026-01-01T00:00:00Z'), horizon: 'P10Y' })
    timelineOf(preview, null)
    figures.push(performance.now() - startedAt)
    found = String(preview.points.length)
    most = String(preview.maxPointCount)
  }
  row(name, `${(figures[0] ?? 0).toFixed(0)} ms`, `${median(figures).toFixed(0)} ms`, found, most)
}
