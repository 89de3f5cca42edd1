import type { Schedule } from './policy.ts'

/** A schedule as a sentence, such as "Every day at 02:00 and 14:00, Europe/Berlin". */
export function describeSchedule({ timeZone, schedule }: { timeZone: string; schedule: Schedule | null }): string {
  if (!schedule) return 'No schedule: backups start on demand alone'
  return `${times(schedule)}, ${timeZone}`
}

function times(schedule: Schedule): string {
  switch (schedule.kind) {
    case 'HOURLY': {
      const minute = String(schedule.minute).padStart(2, '0')
      return schedule.everyHours === 1
        ? `Every hour at minute ${minute}`
        : `Every ${schedule.everyHours} hours from 00:${minute}`
    }
    case 'DAILY':
      return `Every day at ${joined(schedule.times)}`
    case 'WEEKLY':
      return `Every ${joined(schedule.weekdays.map(capitalised))} at ${joined(schedule.times)}`
    case 'MONTHLY':
      return `On ${daysOf(schedule)} of every month at ${joined(schedule.times)}`
  }
}

function daysOf({ daysOfMonth, onLastDay }: { daysOfMonth: number[]; onLastDay: boolean }): string {
  const days = daysOfMonth.length > 0 && `day${daysOfMonth.length > 1 ? 's' : ''} ${joined(daysOfMonth.map(String))}`
  return [days, onLastDay && 'the last day'].filter(Boolean).join(' and ')
}

function joined(parts: readonly string[]): string {
  return parts.length < 2 ? parts.join('') : `${parts.slice(0, -1).join(', ')} and ${parts.at(-1)}`
}

function capitalised(word: string): string {
  return `${word.charAt(0)}${word.slice(1).toLowerCase()}`
}
