import type { backupPolicies, policyVersions } from '../database/tables/policy.ts'

/** The rules of a policy as they were from one revision to the next: when backups start, how long points are kept. */
export type PolicyVersion = typeof policyVersions.$inferSelect

/** A named policy with the rules of its present version, which all of its instances follow. */
export type BackupPolicy = typeof backupPolicies.$inferSelect & { rules: PolicyVersion }

/** What a version says, apart from when it was made. */
export type PolicyRules = Pick<PolicyVersion, 'timeZone' | 'schedule' | 'defaultRetention' | 'retentionRules'>

/** What a version says of how its points are shown to be good, and when what they hold is suspicious. */
export type ProofRules = Pick<PolicyVersion, 'verification' | 'anomalyGate'>

export type Schedule = NonNullable<PolicyVersion['schedule']>
export type Weekday = Extract<Schedule, { kind: 'WEEKLY' }>['weekdays'][number]
