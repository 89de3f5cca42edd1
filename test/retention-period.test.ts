import fc from 'fast-check'
import { Temporal } from 'temporal-polyfill'
import { expect, it } from 'vitest'
import { periodOf } from '../src/retention/period.ts'

it('names the periods of a moment as the ISO calendar of the zone does', () => {
  const zones = fc.constantFrom('Europe/Berlin', 'Pacific/Apia', 'America/Santiago', 'Asia/Kathmandu', 'UTC')
  const moments = fc.date({ min: new Date('1971-01-01'), max: new Date('2120-01-01'), noInvalidDate: true })
  fc.assert(
    fc.property(zones, moments, (zone, at) => {
      const local = Temporal.Instant.fromEpochMilliseconds(at.getTime()).toZonedDateTimeISO(zone).toPlainDate()
      expect(periodOf('DAILY', at, zone)).toBe(local.toString())
      expect(periodOf('MONTHLY', at, zone)).toBe(local.toPlainYearMonth().toString())
      expect(periodOf('YEARLY', at, zone)).toBe(String(local.year))
      expect(periodOf('WEEKLY', at, zone)).toBe(`${local.yearOfWeek}-W${String(local.weekOfYear).padStart(2, '0')}`)
    }),
    { numRuns: 2000 },
  )
})
