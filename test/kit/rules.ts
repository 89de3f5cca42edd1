import fc from 'fast-check'
import type { PolicyRules, Schedule, Weekday } from '../../src/policy/policy.ts'

// Arbitrary schedules and rules of policies, as the checks of policies let them pass but for how close starts lie.

const weekdays: Weekday[] = ['MONDAY', 'TUESDAY', 'WEDNESDAY', 'THURSDAY', 'FRIDAY', 'SATURDAY', 'SUNDAY']

export const zone = fc.constantFrom(
  'Europe/Berlin',
  'America/New_York',
  'Australia/Lord_Howe',
  'Asia/Kathmandu',
  'America/Santiago',
  'Africa/Casablanca',
  'Africa/Cairo',
  'Pacific/Apia',
  'UTC',
)

const minute = fc.integer({ min: 0, max: 59 })
const time = fc
  .tuple(fc.integer({ min: 0, max: 23 }), minute)
  .map(([hour, minutes]) => `${String(hour).padStart(2, '0')}:${String(minutes).padStart(2, '0')}`)
const times = fc.uniqueArray(time, { minLength: 1, maxLength: 6 })
const spreadMinutes = fc.constant(0)

export const schedule: fc.Arbitrary<Schedule> = fc.oneof(
  fc.record({
    kind: fc.constant('HOURLY' as const),
    everyHours: fc.constantFrom(1, 2, 3, 4, 6, 8, 12),
    minute,
    spreadMinutes,
  }),
  fc.record({ kind: fc.constant('DAILY' as const), times, spreadMinutes }),
  fc.record({
    kind: fc.constant('WEEKLY' as const),
    weekdays: fc.subarray(weekdays, { minLength: 1 }),
    times,
    spreadMinutes,
  }),
  fc.record({
    kind: fc.constant('MONTHLY' as const),
    daysOfMonth: fc.uniqueArray(fc.integer({ min: 1, max: 28 }), { minLength: 1, maxLength: 4 }),
    onLastDay: fc.boolean(),
    times,
    spreadMinutes,
  }),
)

const tags = ['DAILY', 'WEEKLY', 'MONTHLY', 'YEARLY'] as const

/** Retention in which no rule keeps points for less time than those below it. */
export const retention: fc.Arbitrary<Pick<PolicyRules, 'defaultRetention' | 'retentionRules'>> = fc
  .tuple(fc.subarray([...tags]), fc.array(fc.integer({ min: 7, max: 900 }), { minLength: 5, maxLength: 5 }))
  .map(([named, days]) => {
    const [first, ...rest] = days.toSorted((one, other) => one - other)
    return {
      defaultRetention: `P${first}D`,
      retentionRules: named.map((tag, index) => ({ tag, duration: `P${rest[index]}D` })),
    }
  })
