import { sql } from 'drizzle-orm'
import {
  doublePrecision,
  foreignKey,
  index,
  integer,
  jsonb,
  pgEnum,
  pgTable,
  primaryKey,
  text,
  timestamp,
  unique,
  uuid,
} from 'drizzle-orm/pg-core'
import { backupPolicies, policyVersions, type RetentionRule } from './policy.ts'
import { postgresServers } from './server.ts'
import { vaults } from './vault.ts'

export const protectionState = pgEnum('protection_state', [
  'CONFIGURING_PROTECTION',
  'CONFIGURING_PROTECTION_FAILED',
  'PROTECTION_CONFIGURED',
  'PROTECTION_STOPPED',
  'BACKUP_SCHEDULES_SUSPENDED',
  'SOFT_DELETED',
])
export const stopReason = pgEnum('stop_reason', ['DECOMMISSIONED', 'COST', 'MIGRATED', 'TESTING', 'OTHER'])
export const healthStatus = pgEnum('health_status', ['HEALTHY', 'DEGRADED', 'UNHEALTHY'])
export const scheduledStartOutcome = pgEnum('scheduled_start_outcome', ['STARTED', 'SKIPPED'])

const moment = () => timestamp({ precision: 3, withTimezone: true })

export const backupInstances = pgTable(
  'backup_instances',
  {
    id: uuid().primaryKey(),
    name: text().notNull().unique(),
    serverId: uuid()
      .notNull()
      .references(() => postgresServers.id),
    vaultId: uuid()
      .notNull()
      .references(() => vaults.id),
    policyId: uuid()
      .notNull()
      .references(() => backupPolicies.id),
    policyVersion: integer().notNull(),
    state: protectionState().notNull(),
    stateSince: moment().notNull(),
    createdAt: moment().notNull(),
    /** Why protection was stopped or the instance deleted; null while it is not. */
    stopReason: stopReason(),
    stopComment: text(),
    deletedAt: moment(),
    scheduledPurgeAt: moment(),
    /** From then on it cannot be undeleted: bytes are being removed. */
    purgeStartedAt: moment(),
    /** Its place within the spread of a schedule, from 0 to below 1. */
    jitter: doublePrecision().notNull().default(sql`random()`),
    /** The next start by the schedule, before the spread; null without a schedule or while none runs. */
    nextNominalAt: moment(),
    /** When the clock starts that backup; null as above. */
    nextBackupAt: moment(),
    /** When it will be overdue unless a proven point is recorded before; null without a schedule or while none runs. */
    overdueAt: moment(),
    /** When the latest point of each tag was made, ISO 8601: which periods have theirs already. */
    lastTaggedAt: jsonb().$type<Partial<Record<RetentionRule['tag'], string>>>().notNull().default({}),
    /** When its points and its vault are looked at next; null without points, and where it is deleted. */
    expiryDueAt: moment(),
    /** An expiry run would have removed too many points: since when it waits for approval, and how many those were. */
    expiryBlockedAt: moment(),
    expiryBlockedCount: integer(),
    /** Points that expired up to then may go, however many they are. */
    expiryApprovedThrough: moment(),
    health: healthStatus().notNull().default('HEALTHY'),
    healthSince: moment(),
    /** Backups that failed in a row; 0 when the last one went well. */
    failuresInARow: integer().notNull().default(0),
    /** When it is looked at next whether one of its points is to be verified by its policy; null: that is not planned yet. */
    verificationDueAt: moment(),
    /** Since when a point that holds much less than the ones before waits to be acknowledged: nothing expires meanwhile. */
    contentAnomalySince: moment(),
  },
  (table) => [
    unique('one_instance_per_server_and_vault').on(table.serverId, table.vaultId),
    foreignKey({
      name: 'backup_instances_follow_a_policy_version',
      columns: [table.policyId, table.policyVersion],
      foreignColumns: [policyVersions.policyId, policyVersions.version],
    }),
    index('backup_instances_by_creation').on(table.createdAt, table.id),
    index('backup_instances_by_vault').on(table.vaultId),
    index('backup_instances_by_policy').on(table.policyId),
    index('backup_instances_by_next_backup').on(table.nextBackupAt).where(sql`next_backup_at is not null`),
    index('backup_instances_by_overdue').on(table.overdueAt).where(sql`overdue_at is not null`),
    index('backup_instances_by_expiry').on(table.expiryDueAt).where(sql`expiry_due_at is not null`),
    index('backup_instances_by_verification').on(table.verificationDueAt),
    index('backup_instances_by_purge').on(table.scheduledPurgeAt).where(sql`scheduled_purge_at is not null`),
  ],
)

/** What became of each start that a schedule asked for: decided once for an instance and a nominal time, whoever asks. */
export const scheduledStarts = pgTable(
  'scheduled_starts',
  {
    instanceId: uuid()
      .notNull()
      .references(() => backupInstances.id, { onDelete: 'cascade' }),
    nominalAt: moment().notNull(),
    decidedAt: moment().notNull(),
    outcome: scheduledStartOutcome().notNull(),
    /** The backup that it started, or the one whose running made it be skipped. No foreign key: jobs have a life of their own. */
    jobId: uuid().notNull(),
    /** Why it was skipped; null when it was not. */
    reason: text(),
    /** Starts before this one that went by unseen, and that it makes up for. */
    missedStarts: integer().notNull().default(0),
  },
  (table) => [primaryKey({ columns: [table.instanceId, table.nominalAt] })],
)
