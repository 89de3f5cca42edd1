import { sql } from 'drizzle-orm'
import {
  bigint,
  customType,
  index,
  integer,
  jsonb,
  pgEnum,
  pgTable,
  text,
  timestamp,
  uniqueIndex,
  uuid,
} from 'drizzle-orm/pg-core'

export const notificationKind = pgEnum('notification_kind', [
  'BACKUP_COMPLETED',
  'BACKUP_FAILED',
  'RESTORE_COMPLETED',
  'RESTORE_FAILED',
  'CONFIGURE_PROTECTION_FAILED',
  'VERIFICATION_FAILED',
  'MAINTENANCE_FAILED',
  'PROTECTION_OVERDUE',
  'PROTECTION_DELETED',
  'RECOVERY_POINTS_REMOVED',
  'PURGE_NEAR',
  'INSTANCE_PURGED',
  'EXPIRY_NEEDS_APPROVAL',
  'VAULT_NEARLY_FULL',
  'VAULT_ORPHANS_FOUND',
  'POLICY_SHORTENED',
  'CHANNEL_TEST',
  'RECOVERY_POINT_SUSPECT',
  'CONTENT_ANOMALY',
  'COPY_FAILED',
  'METADATA_BACKUP_FAILED',
  'RECOVERY_KEY_NOT_EXPORTED',
])
export const notificationSeverity = pgEnum('notification_severity', ['INFO', 'WARNING', 'ERROR'])
export const channelKind = pgEnum('channel_kind', ['WEBHOOK', 'MAIL'])
export const deliveryStatus = pgEnum('delivery_status', ['PENDING', 'DELIVERED', 'FAILED'])

/** Where a channel leads. Of a webhook the host alone: the rest of its URL often holds a token. */
export type ChannelTarget = { kind: 'WEBHOOK'; host: string } | { kind: 'MAIL'; to: string[] }

const xid8 = customType<{ data: bigint; driverData: string }>({
  dataType: () => 'xid8',
  fromDriver: (value) => BigInt(value),
  toDriver: (value) => value.toString(),
})
const moment = () => timestamp({ precision: 3, withTimezone: true })

/** The durable feed of what operators are told. */
export const notifications = pgTable(
  'notifications',
  {
    id: uuid().primaryKey(),
    /** The feed's order is (transactionId, sequence), cut below the oldest transaction still open. */
    transactionId: xid8().notNull().default(sql`pg_current_xact_id()`),
    sequence: bigint({ mode: 'bigint' }).generatedAlwaysAsIdentity(),
    at: moment().notNull(),
    kind: notificationKind().notNull(),
    severity: notificationSeverity().notNull(),
    message: text().notNull(),
    recommendedActions: jsonb().$type<string[]>().notNull(),
    /** What it is about. No foreign keys: the feed outlives what it told of. */
    instanceId: uuid(),
    vaultId: uuid(),
    policyId: uuid(),
    jobId: uuid(),
    subjectName: text(),
    /** Told once for each key; null: told every time. */
    onceKey: text(),
  },
  (table) => [
    uniqueIndex('notifications_in_feed_order').on(table.transactionId, table.sequence),
    uniqueIndex('notifications_told_once').on(table.onceKey),
    index('notifications_by_time').on(table.at, table.id),
    index('notifications_by_instance').on(table.instanceId, table.at, table.id),
  ],
)

/** Where notifications are delivered to besides the feed. */
export const notificationChannels = pgTable(
  'notification_channels',
  {
    id: uuid().primaryKey(),
    name: text().notNull().unique(),
    kind: channelKind().notNull(),
    target: jsonb().$type<ChannelTarget>().notNull(),
    /** Where webhook requests go and what they are signed with, sealed by the key file; null for mail. */
    sealedSecret: text(),
    secretSetAt: moment(),
    /** Null: every kind. */
    kinds: notificationKind().array(),
    minSeverity: notificationSeverity().notNull(),
    createdAt: moment().notNull(),
  },
  (table) => [index('notification_channels_by_creation').on(table.createdAt, table.id)],
)

/** One notification on its way to one channel: the delivery log. Its times are those of the database's clock. */
export const notificationDeliveries = pgTable(
  'notification_deliveries',
  {
    id: uuid().primaryKey(),
    channelId: uuid()
      .notNull()
      .references(() => notificationChannels.id, { onDelete: 'cascade' }),
    notificationId: uuid()
      .notNull()
      .references(() => notifications.id),
    status: deliveryStatus().notNull(),
    /** Counts every claim: with the id it names one attempt. */
    attempts: integer().notNull().default(0),
    createdAt: moment().notNull(),
    /** Tried again not before then; while an attempt is under way, when that is taken to be lost. */
    nextAttemptAt: moment().notNull(),
    lastAttemptAt: moment(),
    /** What came of the last attempt, such as "HTTP 503"; null before the first, and while one is under way. */
    lastResult: text(),
    deliveredAt: moment(),
  },
  (table) => [
    index('notification_deliveries_due').on(table.nextAttemptAt, table.id).where(sql`status = 'PENDING'`),
    index('notification_deliveries_by_channel').on(table.channelId, table.createdAt, table.id),
    uniqueIndex('one_delivery_per_channel_and_notification').on(table.channelId, table.notificationId),
  ],
)
