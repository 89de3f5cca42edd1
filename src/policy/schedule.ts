import { isDeepStrictEqual } from 'node:util'
import { firstMomentOf, localTimeAt, offsetAt } from '../retention/time-zone.ts'
import type { PolicyVersion, Schedule, Weekday } from './policy.ts'

/** What decides when backups start. */
export type ScheduleRules = Pick<PolicyVersion, 'timeZone' | 'schedule'>

const minuteMs = 60_000
const hourMs = 60 * minuteMs
const dayMs = 24 * hourMs
/** From Thursday, which 1 January 1970 was. */
const weekdays: Weekday[] = ['THURSDAY', 'FRIDAY', 'SATURDAY', 'SUNDAY', 'MONDAY', 'TUESDAY', 'WEDNESDAY']
/** A month without the day is followed by one with it, so no valid schedule has to look further. */
const longestWalkDays = 100

/**
 * The first start by the schedule after a moment, before any spread; undefined without a schedule. A local time that the
 * clock skips starts when it is moved, one that it shows twice starts once, the earlier time; hourly starts follow the real hours.
 */
export function nextStart({ timeZone, schedule }: ScheduleRules, after: Date): Date | undefined {
  if (!schedule) return undefined
  const from = after.getTime()
  if (isEveryHour(schedule)) return new Date(nextHour(timeZone, schedule.minute, from))
  const local = localTimeAt(timeZone, from)
  const today = Math.floor(local / dayMs)
  const minutes = minutesOf(schedule)
  for (let day = today; day <= today + longestWalkDays; day += 1) {
    if (!isOn(schedule, day)) continue
    for (const minute of minutes) {
      const time = day * dayMs + minute * minuteMs
      // The clock has shown it already.
      if (time <= local) continue
      const start = wholeMinute(firstMomentOf(timeZone, time))
      if (start > from) return new Date(start)
    }
  }
  return undefined
}

/** The last start by the schedule at a moment or before it; undefined without a schedule. */
export function lastStart({ timeZone, schedule }: ScheduleRules, at: Date): Date | undefined {
  if (!schedule) return undefined
  const upTo = at.getTime()
  if (isEveryHour(schedule)) return new Date(lastHour(timeZone, schedule.minute, upTo))
  // A clock that was moved back by a day has shown times that lie two days ahead.
  const latest = Math.floor(localTimeAt(timeZone, upTo) / dayMs) + 2
  const minutes = minutesOf(schedule).toReversed()
  for (let day = latest; day >= latest - longestWalkDays; day -= 1) {
    if (!isOn(schedule, day)) continue
    for (const minute of minutes) {
      const start = wholeMinute(firstMomentOf(timeZone, day * dayMs + minute * minuteMs))
      if (start <= upTo) return new Date(start)
    }
  }
  return undefined
}

/** The starts by the schedule in (after, upTo], in order of time, at most so many. */
export function startsBetween(
  rules: ScheduleRules,
  { after, upTo, atMost }: { after: Date; upTo: Date; atMost: number },
): Date[] {
  const starts: Date[] = []
  let start = nextStart(rules, after)
  while (start && start.getTime() <= upTo.getTime() && starts.length < atMost) {
    starts.push(start)
    start = nextStart(rules, start)
  }
  return starts
}

/** When an instance at its place (0 ≤ jitter < 1) within the spread starts the backup of a nominal time. */
export function spreadStart(nominal: Date, spreadMinutes: number, jitter: number): Date {
  return new Date(nominal.getTime() + Math.floor(jitter * spreadMinutes * minuteMs))
}

/**
 * When an instance whose last proven point was made at a moment is overdue: its next start has come, the spread is over,
 * and half of the time to the start after it has passed as well (one hour at least, a day at most). Null without a schedule.
 */
export function overdueAfter(rules: ScheduleRules, provenAt: Date): Date | null {
  const due = nextStart(rules, provenAt)
  const following = due && nextStart(rules, due)
  if (!rules.schedule || !following) return null
  const half = (following.getTime() - due.getTime()) / 2
  const grace = Math.min(Math.max(half, hourMs), dayMs)
  return new Date(due.getTime() + rules.schedule.spreadMinutes * minuteMs + grace)
}

/** Whether two rules start backups at the same times, at the same places within the spread. */
export function startsAlike(one: ScheduleRules, other: ScheduleRules): boolean {
  return one.timeZone === other.timeZone && isDeepStrictEqual(one.schedule, other.schedule)
}

/** The minutes of a day at which a schedule starts backups, in order. */
export function minutesOf(schedule: Schedule): number[] {
  if (schedule.kind === 'HOURLY') {
    const starts = Math.ceil(24 / schedule.everyHours)
    return Array.from({ length: starts }, (_, index) => index * schedule.everyHours * 60 + schedule.minute)
  }
  return schedule.times.map(minuteOf).sort((one, other) => one - other)
}

type EveryHour = Extract<Schedule, { kind: 'HOURLY' }>

function isEveryHour(schedule: Schedule): schedule is EveryHour & Schedule {
  return schedule.kind === 'HOURLY' && schedule.everyHours === 1
}

/** Every hour means every real hour, on the days when the clock is moved as well. */
function nextHour(timeZone: string, minute: number, after: number): number {
  for (let offset = offsetAt(timeZone, after), from = after + 1; ; offset = offsetAt(timeZone, from)) {
    const shift = offset.offsetMs - minute * minuteMs
    const start = wholeMinute(Math.ceil((from + shift) / hourMs) * hourMs - shift)
    if (start < offset.until) return start
    from = offset.until
  }
}

function lastHour(timeZone: string, minute: number, upTo: number): number {
  for (let offset = offsetAt(timeZone, upTo), at = upTo; ; offset = offsetAt(timeZone, at)) {
    const shift = offset.offsetMs - minute * minuteMs
    const start = wholeMinute(Math.floor((at + shift) / hourMs) * hourMs - shift)
    if (start >= offset.from && start <= upTo) return start
    at = offset.from - 1
  }
}

/** Clocks were once moved at seconds. */
function wholeMinute(moment: number): number {
  return Math.ceil(moment / minuteMs) * minuteMs
}

function isOn(schedule: Schedule, day: number): boolean {
  switch (schedule.kind) {
    case 'HOURLY':
    case 'DAILY':
      return true
    case 'WEEKLY': {
      const weekday = weekdays[((day % 7) + 7) % 7]
      return weekday !== undefined && schedule.weekdays.includes(weekday)
    }
    case 'MONTHLY': {
      const dayOfMonth = new Date(day * dayMs).getUTCDate()
      if (schedule.daysOfMonth.includes(dayOfMonth)) return true
      return schedule.onLastDay && new Date((day + 1) * dayMs).getUTCDate() === 1
    }
  }
}

/** "02:30" is 150. */
function minuteOf(time: string): number {
  return Number(time.slice(0, 2)) * 60 + Number(time.slice(3, 5))
}
