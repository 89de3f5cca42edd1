import type { PeriodTag } from './rules.ts'
import { localTimeAt } from './time-zone.ts'

const dayMs = 86_400_000

/** The local day that a moment lies in, in a zone: days are counted from 1 January 1970. */
export function localDayOf(at: Date, timeZone: string): number {
  return Math.floor(localTimeAt(timeZone, at.getTime()) / dayMs)
}

/** Whether two local days lie in the same day, week (from Monday), month or year. */
export function isSamePeriod(tag: PeriodTag, day: number, other: number): boolean {
  switch (tag) {
    case 'DAILY':
      return day === other
    case 'WEEKLY':
      return mondayOf(day) === mondayOf(other)
    case 'MONTHLY':
      return Math.abs(day - other) < 31 && monthOf(day) === monthOf(other)
    case 'YEARLY':
      return Math.abs(day - other) < 366 && Math.floor(monthOf(day) / 12) === Math.floor(monthOf(other) / 12)
  }
}

/** The name of the day, week, month or year that a local day lies in: equal names, one period. */
export function periodOf(tag: PeriodTag, day: number): string {
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

function dateOf(day: number): string {
  return new Date(day * dayMs).toISOString().slice(0, -14)
}

/** By ISO 8601 a week belongs to the year that its Thursday lies in. */
function weekOf(day: number): string {
  const thursday = mondayOf(day) + 3
  const year = new Date(thursday * dayMs).getUTCFullYear()
  const week = Math.floor((thursday - Date.UTC(year, 0, 1) / dayMs) / 7) + 1
  return `${year}-W${String(week).padStart(2, '0')}`
}

/** The first day was a Thursday. */
function mondayOf(day: number): number {
  return Math.floor((day + 3) / 7) * 7 - 3
}

function monthOf(day: number): number {
  const date = new Date(day * dayMs)
  return date.getUTCFullYear() * 12 + date.getUTCMonth()
}
