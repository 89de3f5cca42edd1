import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { decideRetention } from '../src/retention/decide-retention.ts'
import { type LastTagged, type PeriodTag, type RetentionRules, tagsByPriority } from '../src/retention/rules.ts'
import { periodTags, rulesOf } from './kit/retention-rules.ts'

const day = 86_400_000
const start = Date.parse('2026-01-01T00:00:00.000Z')

describe('retention rules', () => {
  test('never keep fewer points when a rule is added', () => {
    const added = fc.tuple(rulesOf, fc.constantFrom(...periodTags))
    const gaps = fc.array(fc.integer({ min: 1, max: 40 * 24 }), { minLength: 1, maxLength: 60 })
    fc.assert(
      fc.property(added, gaps, fc.nat(2_000), ([rules, tag], hours, later) => {
        const fewer = { ...rules, retentionRules: rules.retentionRules.filter((rule) => rule.tag !== tag) }
        const more = { ...fewer, retentionRules: [...fewer.retentionRules, { tag, duration: longEnough(fewer, tag) }] }
        const until = start + hours.reduce((sum, each) => sum + each, 0) * 3_600_000 + later * day
        const few = endsOf(fewer, hours)
        const many = endsOf(more, hours)
        expect(many.every((end, index) => end >= (few[index] ?? 0))).toBe(true)
        const keptAt = (ends: number[]) => ends.filter((end) => end > until).length
        expect(keptAt(many)).toBeGreaterThanOrEqual(keptAt(few))
      }),
      { numRuns: 300 },
    )
  })

  /** At least as long as what has less priority, at most as long as what has more. */
  function longEnough(rules: RetentionRules, tag: PeriodTag): string {
    const daysOf = (duration: string) => Number(duration.slice(1, -1))
    const below = rules.retentionRules
      .filter((rule) => tagsByPriority.indexOf(rule.tag) < tagsByPriority.indexOf(tag))
      .map(({ duration }) => daysOf(duration))
    return `P${Math.max(daysOf(rules.defaultRetention), ...below)}D`
  }

  function endsOf(rules: RetentionRules, hours: readonly number[]): number[] {
    let lastTagged: LastTagged = {}
    let now = start
    return hours.map((gap) => {
      now += gap * 3_600_000
      const createdAt = new Date(now)
      const { tag, expiresAt } = decideRetention(rules, { createdAt, lastTagged, requested: 'SCHEDULE' })
      if (tag !== 'DEFAULT') lastTagged = { ...lastTagged, [tag]: createdAt.toISOString() }
      return expiresAt.getTime()
    })
  }
})
