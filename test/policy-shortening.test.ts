import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { PolicyRules, ProofRules, Schedule } from '../src/policy/policy.ts'
import { previewRules } from '../src/policy/preview.ts'
import { isShorter, shortenings, weakenings } from '../src/policy/shortening.ts'
import { retention, schedule, zone } from './kit/rules.ts'

const rules: PolicyRules = {
  timeZone: 'UTC',
  schedule: { kind: 'DAILY', times: ['02:00', '14:00'], spreadMinutes: 10 },
  defaultRetention: 'P30D',
  retentionRules: [
    { tag: 'WEEKLY', duration: 'P12W' },
    { tag: 'MONTHLY', duration: 'P1Y' },
  ],
}
const weekly: Schedule = { kind: 'WEEKLY', weekdays: ['SUNDAY'], times: ['02:00'], spreadMinutes: 10 }

describe('a change of rules', () => {
  it.for<[string, Partial<PolicyRules>]>([
    ['nothing is changed', {}],
    ['points are kept longer', { defaultRetention: 'P31D' }],
    [
      'points are kept as long in other words',
      {
        retentionRules: [
          { tag: 'WEEKLY', duration: 'P84D' },
          { tag: 'MONTHLY', duration: 'P12M' },
        ],
      },
    ],
    ['there is a rule more', { retentionRules: [...rules.retentionRules, { tag: 'YEARLY', duration: 'P10Y' }] }],
    [
      'the default keeps what a rule kept',
      { defaultRetention: 'P12W', retentionRules: [{ tag: 'MONTHLY', duration: 'P1Y' }] },
    ],
    [
      'backups start as often at other times',
      { schedule: { kind: 'DAILY', times: ['05:00', '06:00'], spreadMinutes: 0 } },
    ],
    [
      'backups start as often by another kind of schedule',
      { schedule: { kind: 'HOURLY', everyHours: 12, minute: 0, spreadMinutes: 0 } },
    ],
    ['only the zone is another', { timeZone: 'Asia/Kathmandu' }],
  ])('shortens nothing when %s', ([_title, change]) => {
    expect(shortenings(rules, { ...rules, ...change })).toEqual([])
  })

  it.for<[Partial<PolicyRules>, string]>([
    [{ defaultRetention: 'P1M' }, 'Recovery points with the tag DEFAULT are kept P1M instead of P30D.'],
    [
      {
        retentionRules: [
          { tag: 'WEEKLY', duration: 'P83D' },
          { tag: 'MONTHLY', duration: 'P1Y' },
        ],
      },
      'Recovery points with the tag WEEKLY are kept P83D instead of P12W.',
    ],
    [
      { retentionRules: [{ tag: 'WEEKLY', duration: 'P12W' }] },
      'The rule MONTHLY (P1Y) is gone: its recovery points are kept P30D by default.',
    ],
    [{ schedule: null }, 'Backups no longer start by a schedule.'],
    [
      { schedule: weekly },
      'Backups start less often: "Every Sunday at 02:00, UTC" instead of "Every day at 02:00 and 14:00, UTC".',
    ],
  ])('shortens by %j, and says what', ([change, sentence]) => {
    expect(shortenings(rules, { ...rules, ...change })).toEqual([sentence])
  })

  const proof: ProofRules = {
    verification: { decode: { kind: 'WITHIN', duration: 'P30D' }, restoreEvery: 'P7D' },
    anomalyGate: { rows: 50, bytes: 50, tables: null },
  }
  const { verification, anomalyGate } = proof

  it.for<[string, Partial<ProofRules>]>([
    ['nothing is changed', {}],
    ['falls are looked at sooner', { anomalyGate: { rows: 20, bytes: 50, tables: 50 } }],
    [
      'points are proven more often',
      { verification: { decode: { kind: 'WITHIN', duration: 'P29D' }, restoreEvery: 'P1D' } },
    ],
  ])('weakens no guard when %s', ([_title, change]) => {
    expect(weakenings(proof, { ...proof, ...change })).toEqual([])
    const none: ProofRules = { verification: { decode: null, restoreEvery: null }, anomalyGate: null }
    expect(weakenings(none, { ...proof, ...change })).toEqual([])
  })

  it.for<[Partial<ProofRules>, string]>([
    [{ anomalyGate: null }, 'What recovery points hold is no longer compared with those before: nothing holds expiry.'],
    [
      { anomalyGate: { rows: 99, bytes: 50, tables: null } },
      'A fall of rows by 99 percent, instead of 50, is taken for none.',
    ],
    [{ anomalyGate: { rows: 50, bytes: null, tables: null } }, 'A fall of bytes is no longer looked at.'],
    [{ verification: { ...verification, decode: null } }, 'Recovery points are no longer decoded to prove them.'],
    [
      { verification: { ...verification, decode: { kind: 'WITHIN', duration: 'P60D' } } },
      'Recovery points are decoded within P60D instead of P30D.',
    ],
    [
      { verification: { ...verification, decode: { kind: 'EVERY_POINT' } } },
      'Recovery points are decoded once instead of within P30D.',
    ],
    [
      { verification: { ...verification, restoreEvery: null } },
      'Recovery points are no longer restored to prove them.',
    ],
    [
      { verification: { ...verification, restoreEvery: 'P8D' }, anomalyGate },
      'Recovery points are restored every P8D instead of P7D.',
    ],
  ])('weakens guards by %j, and says which', ([change, sentence]) => {
    expect(weakenings(proof, { ...proof, ...change })).toEqual([sentence])
  })

  it('takes decoding each point after a time for weaker than decoding it once it was made', () => {
    const once: ProofRules = { ...proof, verification: { ...verification, decode: { kind: 'EVERY_POINT' } } }
    expect(weakenings(once, proof)).toEqual([
      'Recovery points are decoded within P30D instead of soon after they were made.',
    ])
    expect(weakenings(once, once)).toEqual([])
  })

  it('compares durations wherever they may start', () => {
    expect(isShorter('P1M', 'P31D')).toBe(true)
    expect(isShorter('P31D', 'P1M')).toBe(false)
    expect(isShorter('P365D', 'P1Y')).toBe(true)
    expect(isShorter('P366D', 'P1Y')).toBe(false)
    expect(isShorter('P12M', 'P1Y')).toBe(false)
  })

  it('that shortens nothing lets every recovery point be kept at least as long', () => {
    fc.assert(
      fc.property(zone, schedule, retention, retention, (timeZone, times, one, other) => {
        const [before, after] = [one, other].map((kept) => ({ timeZone, schedule: times, ...kept }))
        if (!before || !after) return
        expect(shortenings(before, before)).toEqual([])
        fc.pre(shortenings(before, after).length === 0)
        const span = { start: new Date('2028-01-20T00:00:00Z'), horizon: 'P45D' }
        const were = previewRules(before, span).points
        for (const [index, point] of previewRules(after, span).points.entries()) {
          expect(point.expiresAt.getTime()).toBeGreaterThanOrEqual(were[index]?.expiresAt.getTime() ?? 0)
        }
      }),
      { numRuns: 40 },
    )
  })
})
