import { Temporal } from 'temporal-polyfill'
import type { PeriodTag } from './rules.ts'

/** The name of the day, week (from Monday), month or year that a moment lies in, by the calendar of a zone: equal names, one period. */
export function periodOf(tag: PeriodTag, at: Date, timeZone: string): string {
  const local = Temporal.Instant.fromEpochMilliseconds(at.getTime()).toZonedDateTimeISO(timeZone).toPlainDate()
  switch (tag) {
    case 'DAILY':
      return local.toString()
    case 'WEEKLY':
      return `${local.yearOfWeek}-W${String(local.weekOfYear).padStart(2, '0')}`
    case 'MONTHLY':
      return local.toPlainYearMonth().toString()
    case 'YEARLY':
      return String(local.year)
  }
}
