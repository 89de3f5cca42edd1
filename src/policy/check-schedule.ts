import { InvalidInput } from '../refusal.ts'
import type { Schedule, Weekday } from './policy.ts'
import { minutesOf, startsBetween } from './schedule.ts'

/** A schedule as somebody asks for it: without a spread of its own it gets the usual one. */
export type AskedSchedule = AskedTimes & { spreadMinutes: number | null }
type AskedTimes = WithoutSpread<Schedule>
type WithoutSpread<Each> = Each extends unknown ? Omit<Each, 'spreadMinutes'> : never

const hourMs = 3_600_000
const mostSpread = 60
const usualSpread = 10
const divisors = [1, 2, 3, 4, 6, 8, 12, 24]
const weekdays: Weekday[] = ['MONDAY', 'TUESDAY', 'WEDNESDAY', 'THURSDAY', 'FRIDAY', 'SATURDAY', 'SUNDAY']

/**
 * Refuses a schedule that cannot be kept: times that do not exist, that are none or given twice, starts less than an hour
 * apart, a spread that reaches into the next start. Answers it in order, with its spread. `field` is where it was given.
 */
export function checkSchedule(field: string, asked: AskedSchedule): Schedule {
  const { spreadMinutes: askedSpread, ...times } = asked
  const path = `${field}.${times.kind.toLowerCase()}`
  const checked = checkTimes(path, times)
  const gapMs = smallestGapMs({ ...checked, spreadMinutes: 0 })
  if (gapMs < hourMs) {
    throw new InvalidInput(`${path}.times`, `Two starts lie ${gapMs / 60_000} minutes apart: at most one an hour.`, [
      'Leave at least an hour between two times, and between the last of a day and the first of the next.',
    ])
  }
  return { ...checked, spreadMinutes: checkSpread(`${path}.spreadMinutes`, askedSpread, gapMs) }
}

function checkTimes(path: string, asked: AskedTimes): AskedTimes {
  switch (asked.kind) {
    case 'HOURLY':
      return checkHourly(path, asked)
    case 'DAILY':
      return { ...asked, times: checkLocalTimes(path, asked.times) }
    case 'WEEKLY': {
      checkList(`${path}.weekdays`, 'weekday', asked.weekdays)
      const named = weekdays.filter((weekday) => asked.weekdays.includes(weekday))
      return { ...asked, weekdays: named, times: checkLocalTimes(path, asked.times) }
    }
    case 'MONTHLY': {
      if (!asked.onLastDay) checkList(`${path}.daysOfMonth`, 'day of the month', asked.daysOfMonth)
      checkTwice(`${path}.daysOfMonth`, asked.daysOfMonth)
      for (const [index, day] of asked.daysOfMonth.entries()) checkDay(`${path}.daysOfMonth[${index}]`, day)
      const daysOfMonth = asked.daysOfMonth.toSorted((one, other) => one - other)
      return { ...asked, daysOfMonth, times: checkLocalTimes(path, asked.times) }
    }
  }
}

function checkHourly<Hourly extends { everyHours: number; minute: number }>(path: string, asked: Hourly): Hourly {
  if (!divisors.includes(asked.everyHours)) {
    throw new InvalidInput(`${path}.everyHours`, `A day is not made of spans of ${asked.everyHours} hours.`, [
      `Choose one of ${divisors.join(', ')}.`,
    ])
  }
  if (!(Number.isInteger(asked.minute) && asked.minute >= 0 && asked.minute <= 59)) {
    throw new InvalidInput(`${path}.minute`, `An hour has no minute ${asked.minute}.`, ['Choose one from 0 to 59.'])
  }
  return asked
}

function checkLocalTimes(path: string, times: readonly string[]): string[] {
  checkList(`${path}.times`, 'time', times)
  for (const [index, time] of times.entries()) {
    if (/^([01]\d|2[0-3]):[0-5]\d$/.test(time)) continue
    throw new InvalidInput(`${path}.times[${index}]`, `"${time.slice(0, 20)}" is not a time of day.`, [
      'Write it like 02:30; the day has the times from 00:00 to 23:59.',
    ])
  }
  const ordered = times.toSorted()
  const close = ordered.find((time, index) => {
    const previous = ordered[index - 1]
    return previous !== undefined && minuteOf(time) - minuteOf(previous) < 60
  })
  if (close !== undefined) {
    const earlier = ordered[ordered.indexOf(close) - 1]
    throw new InvalidInput(
      `${path}.times[${times.indexOf(close)}]`,
      `${close} comes less than an hour after ${earlier}: backups start at most once an hour.`,
      ['Leave at least an hour between two times.'],
    )
  }
  return ordered
}

/** Refuses an empty list, and one that says something twice. */
function checkList(field: string, each: string, values: readonly (string | number)[]): void {
  if (values.length === 0) {
    throw new InvalidInput(field, `A schedule names at least one ${each}.`, [
      'Name one, or leave the schedule out for backups on demand alone.',
    ])
  }
  checkTwice(field, values)
}

function checkTwice(field: string, values: readonly (string | number)[]): void {
  const seen = new Set<string | number>()
  for (const [index, value] of values.entries()) {
    if (seen.has(value)) {
      throw new InvalidInput(`${field}[${index}]`, `${String(value).slice(0, 20)} is named twice.`, [
        'Name each of them once.',
      ])
    }
    seen.add(value)
  }
}

function checkDay(field: string, day: number): void {
  if (Number.isInteger(day) && day >= 1 && day <= 28) return
  const message = day > 28 && day <= 31 ? `Not every month has a day ${day}.` : `No month has a day ${day}.`
  throw new InvalidInput(field, message, ['Choose days from 1 to 28, and onLastDay for the last day of each month.'])
}

function checkSpread(field: string, asked: number | null, gapMs: number): number {
  const gapMinutes = gapMs / 60_000
  if (asked === null) return Math.min(usualSpread, Math.floor(gapMinutes / 4))
  if (Number.isInteger(asked) && asked >= 0 && asked <= mostSpread && asked < gapMinutes) return asked
  const most = Math.min(mostSpread, gapMinutes - 1)
  throw new InvalidInput(field, `Starts cannot be spread over ${asked} minutes here.`, [
    `Choose from 0 to ${most} minutes: at most an hour, and less than lies between two starts.`,
  ])
}

/** The shortest time between two starts in a zone whose clock is never moved, milliseconds. */
function smallestGapMs(schedule: Schedule): number {
  if (schedule.kind === 'HOURLY') return schedule.everyHours * hourMs
  const single = minutesOf(schedule).length === 1
  if (single && schedule.kind === 'DAILY') return 24 * hourMs
  // All lengths of a month and all of their joints lie in the first months of a leap year and of a common one.
  const gaps = [2027, 2028].flatMap((year) => {
    const [after, upTo] = [new Date(Date.UTC(year, 0, 1)), new Date(Date.UTC(year, 5, 1))]
    const starts = startsBetween({ timeZone: 'UTC', schedule }, { after, upTo, atMost: 24 * 366 })
    return starts.slice(1).map((start, index) => start.getTime() - (starts[index]?.getTime() ?? 0))
  })
  return gaps.reduce((one, other) => Math.min(one, other), 31 * 24 * hourMs)
}

function minuteOf(time: string): number {
  return Number(time.slice(0, 2)) * 60 + Number(time.slice(3, 5))
}
