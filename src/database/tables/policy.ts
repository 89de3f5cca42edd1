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

/** How far a policy has its points shown to be good, besides the read-back that each of them begins with. */
export interface VerificationRules {
  /**
   * Decoded to their ends: each point once, soon after it was made; or all of them again and again, none left for longer than
   * a duration (ISO 8601). Null: not by this policy.
   */
  decode: { kind: 'EVERY_POINT' } | { kind: 'WITHIN'; duration: string } | null
  /** How long after one restore of the newest point into a scratch server the next one follows (ISO 8601). Null: none. */
  restoreEvery: string | null
}

/** A point that holds so much less than the last proven one is an anomaly: greatest falls that are none, percent; null: not looked at. */
export interface AnomalyGate {
  rows: number | null
  bytes: number | null
  tables: number | null
}

/** What holds where nobody said otherwise, policies from before there were such rules among them. */
export const usualVerification: VerificationRules = { decode: { kind: 'WITHIN', duration: 'P30D' }, restoreEvery: null }
export const usualAnomalyGate: AnomalyGate = { rows: 50, bytes: 50, tables: 50 }

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
    verification: jsonb().$type<VerificationRules>().notNull().default(usualVerification),
    /** Null: what points hold is not compared. */
    anomalyGate: jsonb().$type<AnomalyGate>().default(usualAnomalyGate),
  },
  (table) => [primaryKey({ columns: [table.policyId, table.version] })],
)
