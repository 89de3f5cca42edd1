import { boolean, integer, jsonb, pgTable, primaryKey, text, timestamp, uuid } from 'drizzle-orm/pg-core'

export type Weekday = 'MONDAY' | 'TUESDAY' | 'WEDNESDAY' | 'THURSDAY' | 'FRIDAY' | 'SATURDAY' | 'SUNDAY'

/** When backups start, in local times ("HH:MM") of the policy's time zone. */
export type ScheduleTimes =
  /** Every so many hours (a divisor of 24) from midnight, at that minute. */
  | { kind: 'HOURLY'; everyHours: number; minute: number }
  | { kind: 'DAILY'; times: string[] }
  | { kind: 'WEEKLY'; weekdays: Weekday[]; times: string[] }
  /** On days 1 to 28, and on the month's last day when asked for. */
  | { kind: 'MONTHLY'; daysOfMonth: number[]; onLastDay: boolean; times: string[] }

export type Schedule = ScheduleTimes & {
  /** Starts are spread over so many minutes after the nominal time, each instance at its own place. */
  spreadMinutes: number
}

/** The first successful backup of each such period is kept for a duration of its own (ISO 8601). */
export interface RetentionRule {
  tag: 'DAILY' | 'WEEKLY' | 'MONTHLY' | 'YEARLY'
  duration: string
}

export const backupPolicies = pgTable('backup_policies', {
  id: uuid().primaryKey(),
  name: text().notNull().unique(),
  /** The version that its instances follow; older ones stay readable. */
  version: integer().notNull().default(1),
  /** Made by Holdfast itself at first start; used when an instance names no policy. */
  isBuiltIn: boolean().notNull().default(false),
  createdAt: timestamp({ precision: 3, withTimezone: true }).notNull(),
})

/** The rules of a policy as they were from one revision to the next; never changed. */
export const policyVersions = pgTable(
  'policy_versions',
  {
    policyId: uuid()
      .notNull()
      .references(() => backupPolicies.id, { onDelete: 'cascade' }),
    version: integer().notNull(),
    /** IANA name; schedule, days, weeks, months and years are those of this zone. */
    timeZone: text().notNull(),
    /** Null: backups on demand only. */
    schedule: jsonb().$type<Schedule>(),
    /** ISO 8601 duration that a recovery point with the default tag is kept for. */
    defaultRetention: text().notNull(),
    retentionRules: jsonb().$type<RetentionRule[]>().notNull(),
    createdAt: timestamp({ precision: 3, withTimezone: true }).notNull(),
    createdBy: text().notNull(),
  },
  (table) => [primaryKey({ columns: [table.policyId, table.version] })],
)
