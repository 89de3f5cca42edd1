import fc from 'fast-check'
import { Temporal } from 'temporal-polyfill'
import { expect, it } from 'vitest'
import { isSamePeriod, localDayOf, periodOf } from '../src/retention/period.ts'

it('names the periods of a moment as the ISO calendar of the zone does', () => {
  const zones = fc.constantFrom('Europe/Berlin', 'Pacific/Apia', 'America/Santiago', 'Asia/Kathmandu', 'UTC')
  const moments = fc.date({ min: new Date('1971-01-01'), max: new Date('2120-01-01'), noInvalidDate: true })
  fc.assert(
    fc.property(zones, moments, (zone, at) => {
      const local = Temporal.Instant.fromEpochMilliseconds(at.getTime()).toZonedDateTimeISO(zone).toPlainDate()
      const day = localDayOf(at, zone)
      expect(periodOf('DAILY', day)).toBe(local.toString())
      expect(periodOf('MONTHLY', day)).toBe(local.toPlainYearMonth().toString())
      expect(periodOf('YEARLY', day)).toBe(String(local.year))
      expect(periodOf('WEEKLY', day)).toBe(`${local.yearOfWeek}-W${String(local.weekOfYear).padStart(2, '0')}`)
    }),
    { numRuns: 500 },
  )
})

it('tells whether two days lie in the same period as the names of their periods do', () => {
  const days = fc.integer({ min: 0, max: 40_000 })
  const tags = fc.constantFrom('DAILY' as const, 'WEEKLY' as const, 'MONTHLY' as const, 'YEARLY' as const)
  fc.assert(
    fc.property(tags, days, fc.integer({ min: 0, max: 400 }), (tag, day, distance) => {
      expect(isSamePeriod(tag, day, day + distance)).toBe(periodOf(tag, day) === periodOf(tag, day + distance))
    }),
    { numRuns: 500 },
  )
})
