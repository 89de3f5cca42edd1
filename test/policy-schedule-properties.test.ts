import fc from 'fast-check'
import { Temporal } from 'temporal-polyfill'
import { describe, expect, it } from 'vitest'
import type { Schedule } from '../src/policy/policy.ts'
import { lastStart, nextStart, startsBetween } from '../src/policy/schedule.ts'
import { offsetAt } from '../src/retention/time-zone.ts'
import { schedule, zone } from './kit/rules.ts'

const moment = fc.date({ min: new Date('1995-01-01'), max: new Date('2075-01-01'), noInvalidDate: true })
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
      { numRuns: 1000 },
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
      { numRuns: 1000 },
    )
  })

  it('reads the clocks as they are', () => {
    fc.assert(
      fc.property(zone, moment, (timeZone, at) => {
        const zoned = Temporal.Instant.fromEpochMilliseconds(at.getTime()).toZonedDateTimeISO(timeZone)
        expect(offsetAt(timeZone, at.getTime()).offsetMs).toBe(zoned.offsetNanoseconds / 1_000_000)
      }),
      { numRuns: 2000 },
    )
  })
})
