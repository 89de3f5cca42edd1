import fc from 'fast-check'
import type { PeriodTag, RetentionRules } from '../../src/retention/rules.ts'

export const periodTags = ['DAILY', 'WEEKLY', 'MONTHLY', 'YEARLY'] as const

/** Rules as policies may have them: what has more priority is kept at least as long. */
export const rulesOf = fc
  .record({
    timeZone: fc.constantFrom('UTC', 'Europe/Vienna', 'Pacific/Auckland', 'America/New_York'),
    days: fc.array(fc.integer({ min: 1, max: 800 }), { minLength: 5, maxLength: 5 }),
    tags: fc.subarray([...periodTags]),
  })
  .map(({ timeZone, days, tags }): RetentionRules => {
    const [first = 1, ...others] = days.toSorted((one, other) => one - other)
    const duration = (tag: PeriodTag) => `P${others[periodTags.indexOf(tag)] ?? first}D`
    return {
      timeZone,
      defaultRetention: `P${first}D`,
      retentionRules: tags.map((tag) => ({ tag, duration: duration(tag) })),
    }
  })
