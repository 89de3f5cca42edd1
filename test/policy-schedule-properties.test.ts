import fc from 'fast-check'
import { Temporal } from 'temporal-polyfill'
import { describe, expect, it } from 'vitest'
import type { Schedule, Weekday } from '../src/policy/policy.ts'
import { lastStart, nextStart, startsBetween } from '../src/policy/schedule.ts'
import { offsetAt } from '../src/retention/time-zone.ts'

const zones = [
  'Europe/Berlin',
  'America/New_York',
  'Australia/Lord_Howe',
  'Asia/Kathmandu',
  'America/Santiago',
  'Africa/Casablanca',
  'Africa/Cairo',
  'Pacific/Apia',
  'UTC',
]
const weekdays: Weekday[] = ['MONDAY', 'TUESDAY', 'WEDNESDAY', 'THURSDAY', 'FRIDAY', 'SATURDAY', 'SUNDAY']

const zone = fc.constantFrom(...zones)
const moment = fc.date({ min: new Date('1995-01-01'), max: new Date('2075-01-01'), noInvalidDate: true })
const minute = fc.integer({ min: 0, max: 59 })
const time = fc
  .tuple(fc.integer({ min: 0, max: 23 }), minute)
  .map(([hour, minutes]) => `${String(hour).padStart(2, '0')}:${String(minutes).padStart(2, '0')}`)
const times = fc.uniqueArray(time, { minLength: 1, maxLength: 6 })
const spreadMinutes = fc.constant(0)
const schedule: fc.Arbitrary<Schedule> = fc.oneof(
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
const rules = fc.record({ timeZone: zone, schedule })

/** The local times at which the schedule starts on a day. */
function timesOf({ schedule: each }: { schedule: Schedule }): string[] {
  if (each.kind !== 'HOURLY') return each.times
  return Array.from(
    { length: 24 / each.everyHours },
    (_, index) => `${String(index * each.everyHours).padStart(2, '0')}:${String(each.minute).padStart(2, '0')}`,
  )
}

describe('any schedule, in any zone, at any time', () => {
  it('has a next start, on a whole minute, that is the last start from then on and no sooner', () => {
    fc.assert(
      fc.property(rules, moment, (each, after) => {
        const next = nextStart(each, after)
        if (!next) throw new Error('There is no next start.')
        expect(next.getTime()).toBeGreaterThan(after.getTime())
        expect(next.getTime() % 60_000).toBe(0)
        expect(lastStart(each, next)).toEqual(next)
        const last = lastStart(each, new Date(next.getTime() - 1))
        if (!last) throw new Error('There is no last start.')
        expect(last.getTime()).toBeLessThanOrEqual(after.getTime())
        expect(nextStart(each, last)).toEqual(next)
      }),
      { numRuns: 2000 },
    )
  })

  it('has starts that strictly increase and are the same wherever one begins to ask', () => {
    fc.assert(
      fc.property(rules, moment, fc.double({ min: 0, max: 1, noNaN: true }), (each, after, share) => {
        const upTo = new Date('2100-01-01')
        const starts = startsBetween(each, { after, upTo, atMost: 60 })
        expect(starts).toHaveLength(60)
        for (const [index, start] of starts.slice(1).entries()) {
          expect(start.getTime()).toBeGreaterThan(starts[index]?.getTime() ?? Number.NaN)
        }
        const end = starts.at(-1)?.getTime() ?? 0
        const middle = new Date(after.getTime() + Math.floor(share * (end - after.getTime())))
        const rest = starts.filter((start) => start > middle)
        expect(startsBetween(each, { after: middle, upTo, atMost: rest.length })).toEqual(rest)
      }),
      { numRuns: 500 },
    )
  })

  it('starts at its local times, but for those that the clock skips', () => {
    fc.assert(
      fc.property(rules, moment, (each, after) => {
        const start = nextStart(each, after)
        if (!start) throw new Error('There is no next start.')
        const local = Temporal.Instant.fromEpochMilliseconds(start.getTime()).toZonedDateTimeISO(each.timeZone)
        if (timesOf(each).includes(local.toPlainTime().toString({ smallestUnit: 'minute' }))) return
        if (each.schedule.kind === 'HOURLY' && each.schedule.everyHours === 1) {
          expect(local.minute).toBe(each.schedule.minute)
          return
        }
        // Otherwise it is the moment at which the clock was moved.
        expect(local.subtract({ milliseconds: 1 }).offset).not.toBe(local.offset)
      }),
      { numRuns: 2000 },
    )
  })

  it('reads the clocks as they are', () => {
    fc.assert(
      fc.property(zone, moment, (timeZone, at) => {
        const zoned = Temporal.Instant.fromEpochMilliseconds(at.getTime()).toZonedDateTimeISO(timeZone)
        expect(offsetAt(timeZone, at.getTime()).offsetMs).toBe(zoned.offsetNanoseconds / 1_000_000)
      }),
      { numRuns: 5000 },
    )
  })
})
