import type { PeriodTag } from './rules.ts'
import { localTimeAt } from './time-zone.ts'

const dayMs = 86_400_000

/** The name of the day, week (from Monday), month or year that a moment lies in, by the calendar of a zone: equal names, one period. */
export function periodOf(tag: PeriodTag, at: Date, timeZone: string): string {
  const day = Math.floor(localTimeAt(timeZone, at.getTime()) / dayMs)
  switch (tag) {
    case 'DAILY':
      return dateOf(day)
    case 'WEEKLY':
      return weekOf(day)
    case 'MONTHLY':
      return dateOf(day).slice(0, -3)
    case 'YEARLY':
      return dateOf(day).slice(0, -6)
  }
}

/** Days are counted from 1 January 1970. */
function dateOf(day: number): string {
  return new Date(day * dayMs).toISOString().slice(0, -14)
}

/** By ISO 8601 a week belongs to the year that its Thursday lies in. */
function weekOf(day: number): string {
  const thursday = day - ((((day + 3) % 7) + 7) % 7) + 3
  const year = new Date(thursday * dayMs).getUTCFullYear()
  const week = Math.floor((thursday - Date.UTC(year, 0, 1) / dayMs) / 7) + 1
  return `${year}-W${String(week).padStart(2, '0')}`
}
