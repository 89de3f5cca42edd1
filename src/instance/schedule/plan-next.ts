import { nextStart, overdueAfter, type ScheduleRules, spreadStart } from '../../policy/schedule.ts'
import type { BackupInstance } from '../instance.ts'

export type SchedulePlan = Pick<BackupInstance, 'nextNominalAt' | 'nextBackupAt' | 'overdueAt'>

/** What an instance whose schedule does not run has planned. */
export const nothingPlanned: SchedulePlan = { nextNominalAt: null, nextBackupAt: null, overdueAt: null }

/**
 * When an instance's next backup starts by the rules, after a moment, and when it will be overdue, counted from its last
 * proven point or, without one, from the moment itself.
 */
export function planNext(
  rules: ScheduleRules,
  { jitter, after, provenAt }: { jitter: number; after: Date; provenAt: Date | null },
): SchedulePlan {
  const nominal = nextStart(rules, after)
  if (!nominal || !rules.schedule) return nothingPlanned
  return {
    nextNominalAt: nominal,
    nextBackupAt: spreadStart(nominal, rules.schedule.spreadMinutes, jitter),
    overdueAt: overdueAfter(rules, provenAt ?? after),
  }
}
