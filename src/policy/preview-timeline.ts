import { InvalidInput } from '../refusal.ts'
import { addDuration, type Duration, parseDuration } from '../retention/duration.ts'
import { countAt, type PolicyPreview } from './preview.ts'

export interface TimelineEntry {
  at: Date
  pointCount: number
}

const mostEntries = 1000
const dayMs = 86_400_000

/**
 * How many points exist at the start of a preview and every so often (ISO 8601) until its end, at most 1,000 entries; where
 * nothing is said, every day, or every few days if those are too many. Throws InvalidInput.
 */
export function timelineOf(preview: PolicyPreview, every: string | null): TimelineEntry[] {
  const days = (preview.end.getTime() - preview.start.getTime()) / dayMs
  const step = parseDuration(every ?? `P${Math.ceil((days + 1) / mostEntries)}D`)
  const entries: TimelineEntry[] = []
  for (let index = 0; index <= mostEntries; index += 1) {
    // Counted from the start each time, so that the ends of months do not wear away.
    const at = step && addDuration(preview.start, times(step, index))
    if (!at || (index === 1 && at <= preview.start)) break
    if (!(at <= preview.end)) return entries
    entries.push({ at, pointCount: countAt(preview, at) })
  }
  throw new InvalidInput('every', `"${every}" does not divide the horizon into at most ${mostEntries} parts.`, [
    'Choose a longer duration of whole units, such as "P7D", or leave it out.',
  ])
}

function times(duration: Duration, factor: number): Duration {
  return {
    years: duration.years * factor,
    months: duration.months * factor,
    weeks: duration.weeks * factor,
    days: duration.days * factor,
    hours: duration.hours * factor,
    minutes: duration.minutes * factor,
    seconds: duration.seconds * factor,
  }
}
