import { describeSchedule } from './describe-schedule.ts'
import type { PolicyVersion } from './policy.ts'

/** The rules of a policy as the audit log tells them. */
export function factsOf(rules: PolicyVersion): Record<string, string | number> {
  return {
    version: rules.version,
    schedule: describeSchedule(rules),
    spreadMinutes: rules.schedule?.spreadMinutes ?? 0,
    defaultRetention: rules.defaultRetention,
    retentionRules: rules.retentionRules.map(({ tag, duration }) => `${tag} ${duration}`).join(', '),
  }
}
