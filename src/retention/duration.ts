/** A calendar duration: what an ISO 8601 duration of whole units says. */
export interface Duration {
  years: number
  months: number
  weeks: number
  days: number
  hours: number
  minutes: number
  seconds: number
}

const pattern =
  /^P(?=.)(?:(\d{1,6})Y)?(?:(\d{1,6})M)?(?:(\d{1,6})W)?(?:(\d{1,6})D)?(?:T(?=.)(?:(\d{1,6})H)?(?:(\d{1,6})M)?(?:(\d{1,6})S)?)?$/

/** Reads an ISO 8601 duration of whole units, such as "P30D" or "P1Y6M"; undefined when it is not one. */
export function parseDuration(text: string): Duration | undefined {
  const match = pattern.exec(text)
  if (!match) return undefined
  const [years, months, weeks, days, hours, minutes, seconds] = match.slice(1).map((part) => Number(part ?? 0))
  return {
    years: years ?? 0,
    months: months ?? 0,
    weeks: weeks ?? 0,
    days: days ?? 0,
    hours: hours ?? 0,
    minutes: minutes ?? 0,
    seconds: seconds ?? 0,
  }
}

/** The moment that lies a duration after another, in UTC; a month's end stays a month's end (31 January + P1M = 28 or 29 February). */
export function addDuration(start: Date, duration: Duration): Date {
  const result = new Date(start)
  const day = result.getUTCDate()
  result.setUTCDate(1)
  result.setUTCMonth(result.getUTCMonth() + duration.years * 12 + duration.months)
  const lastDay = new Date(Date.UTC(result.getUTCFullYear(), result.getUTCMonth() + 1, 0)).getUTCDate()
  result.setUTCDate(Math.min(day, lastDay) + duration.weeks * 7 + duration.days)
  return new Date(result.getTime() + ((duration.hours * 60 + duration.minutes) * 60 + duration.seconds) * 1000)
}

/** The moment that lies a duration before another, in UTC, counted as addDuration counts. */
export function subtractDuration(end: Date, duration: Duration): Date {
  return addDuration(end, {
    years: -duration.years,
    months: -duration.months,
    weeks: -duration.weeks,
    days: -duration.days,
    hours: -duration.hours,
    minutes: -duration.minutes,
    seconds: -duration.seconds,
  })
}
