import type { PolicyVersion } from './policy.ts'

/** What decides when backups start. */
export type ScheduleRules = Pick<PolicyVersion, 'timeZone' | 'schedule'>

/** The first start by the schedule after a moment, before any spread; undefined without a schedule. */
export function nextStart(_rules: ScheduleRules, _after: Date): Date | undefined {
  throw new Error('In work.')
}

/** The last start by the schedule at a moment or before it; undefined without a schedule. */
export function lastStart(_rules: ScheduleRules, _at: Date): Date | undefined {
  throw new Error('In work.')
}

/** The starts by the schedule in (after, upTo], in order of time, at most so many. */
export function startsBetween(_rules: ScheduleRules, _span: { after: Date; upTo: Date; atMost: number }): Date[] {
  throw new Error('In work.')
}

/** When an instance at its place (0 ≤ jitter < 1) within the spread starts the backup of a nominal time. */
export function spreadStart(nominal: Date, spreadMinutes: number, jitter: number): Date {
  return new Date(nominal.getTime() + Math.floor(jitter * spreadMinutes * 60_000))
}

/**
 * When an instance whose last proven point was made at a moment is overdue: its next start has come, the spread is over,
 * and half of the time to the start after it has passed as well (one hour at least, a day at most). Null without a schedule.
 */
export function overdueAfter(_rules: ScheduleRules, _provenAt: Date): Date | null {
  throw new Error('In work.')
}
