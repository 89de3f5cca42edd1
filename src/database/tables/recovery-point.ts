import { type SQL, sql } from 'drizzle-orm'
import {
  bigint,
  boolean,
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
import { backupInstances } from './backup-instance.ts'
import { jobs } from './job.ts'
import { vaults } from './vault.ts'

export const retentionTag = pgEnum('retention_tag', ['DEFAULT', 'DAILY', 'WEEKLY', 'MONTHLY', 'YEARLY'])
export const proofLevel = pgEnum('proof_level', ['WRITTEN', 'READ_BACK', 'DECODED', 'RESTORED'])
export const recoveryPointState = pgEnum('recovery_point_state', ['AVAILABLE', 'SUSPECT', 'REMOVING'])

/** One database inside a recovery point, as the catalogue remembers it; the manifest in the vault holds all of it. */
export interface ContainedDatabase {
  name: string
  /** Size on the server when it was dumped, bytes. */
  sourceBytes: number
  /** Size in the vault, bytes. */
  storedBytes: number
  tableCount: number
  rowCount: number
  /** Whether it held nothing beyond a new database; left out where version 0.3 and older did not look. */
  isEmpty?: boolean
}

/** When all bytes of a point were last read and found right, for statements on the points: never is before all else. */
export const bytesReadAt: SQL<Date> = sql<Date>`(case when proof = 'WRITTEN' then '-infinity'::timestamptz else greatest(proven_at, last_read_at, decoded_at, restored_at) end)`

/** When a point was last decoded to its end, or else when it was made, for statements on the points. */
export const decodedOrMadeAt: SQL<Date> = sql<Date>`coalesce(greatest(decoded_at, restored_at), created_at)`

/** Whether a point has an anomaly that nobody has acknowledged, for statements on the points. */
export const isAnomalous: SQL<boolean> = sql<boolean>`(anomalies <> '[]' and anomaly_acknowledged_at is null)`

/** Something of which a point holds much less than the last proven one before it, as told once it was recorded. */
export interface ContentAnomaly {
  kind: 'ROWS_FELL' | 'BYTES_FELL' | 'TABLES_FELL' | 'DATABASE_VANISHED' | 'TABLE_EMPTIED'
  /** Null: of all databases together. */
  database: string | null
  /** Of a table that was emptied. */
  table?: { schema: string; name: string }
  /** Rows, bytes or tables; of a database that vanished, its rows. */
  before: number
  after: number
}

export const recoveryPoints = pgTable(
  'recovery_points',
  {
    id: uuid().primaryKey(),
    instanceId: uuid()
      .notNull()
      .references(() => backupInstances.id),
    vaultId: uuid()
      .notNull()
      .references(() => vaults.id),
    /** The backup job that made it, or the job that copied it; one point per job at most. Null: it was imported, and no job here made it. */
    jobId: uuid()
      .unique()
      .references(() => jobs.id),
    /** Folder of its artifacts in the vault: ids only. */
    prefix: text().notNull().unique(),
    state: recoveryPointState().notNull(),
    /** Why the point is SUSPECT: one sentence a damaged artifact, naming it. */
    damage: jsonb().$type<string[]>().notNull().default([]),
    tag: retentionTag().notNull(),
    /** The policy that decided tag and end, as it was named and numbered then. */
    policyName: text().notNull(),
    policyVersion: integer().notNull(),
    /** Whether the tag was named by whoever asked for the backup. */
    isTagRequested: boolean().notNull().default(false),
    /** The moment whose data it holds: that of the first dump's snapshot. */
    pointInTime: timestamp({ precision: 3, withTimezone: true }).notNull(),
    /** When what it holds was backed up and recorded: a copy has that of its original, for it is no newer. */
    createdAt: timestamp({ precision: 3, withTimezone: true }).notNull(),
    expiresAt: timestamp({ precision: 3, withTimezone: true }).notNull(),
    proof: proofLevel().notNull(),
    provenAt: timestamp({ precision: 3, withTimezone: true }).notNull(),
    /** When all its stored bytes were last read again and found right; null: not since it was recorded. */
    lastReadAt: timestamp({ precision: 3, withTimezone: true }),
    /** When it was last decoded to its end, and last restored into a scratch server; null: never. */
    decodedAt: timestamp({ precision: 3, withTimezone: true }),
    restoredAt: timestamp({ precision: 3, withTimezone: true }),
    /** sha256, in hex, of the sealed manifest as stored. */
    manifestSha256: text().notNull(),
    serverVersionNumber: integer().notNull(),
    toolMajor: integer().notNull(),
    sourceBytes: bigint({ mode: 'number' }).notNull(),
    storedBytes: bigint({ mode: 'number' }).notNull(),
    databases: jsonb().$type<ContainedDatabase[]>().notNull(),
    /** On hold: not removed before the hold ends or is released, whatever its expiry. */
    heldAt: timestamp({ precision: 3, withTimezone: true }),
    heldBy: text(),
    holdReason: text(),
    /** Null: until it is released. */
    holdUntil: timestamp({ precision: 3, withTimezone: true }),
    /** Chosen for removal (state REMOVING): swept after the grace, and until then the choice can be taken back. */
    markedAt: timestamp({ precision: 3, withTimezone: true }),
    markReason: text(),
    /** From then on bytes are being removed: there is no way back. */
    sweepStartedAt: timestamp({ precision: 3, withTimezone: true }),
    /** How far the verification went that found the damage: one that goes less far does not clear it. Null without damage. */
    damageLevel: proofLevel(),
    /** How it fell behind the last proven point when it was recorded; empty: not at all. */
    anomalies: jsonb().$type<ContentAnomaly[]>().notNull().default([]),
    /** When somebody said that this is as it should be; null: nobody has, or there is nothing to say it of. */
    anomalyAcknowledgedAt: timestamp({ precision: 3, withTimezone: true }),
    anomalyAcknowledgedBy: text(),
    anomalyComment: text(),
    /** When the clock last had it verified, and how far; null: never. */
    verificationTriedAt: timestamp({ precision: 3, withTimezone: true }),
    verificationTriedLevel: proofLevel(),
    /** How often in a row it has had it verified without coming that far, this time included. */
    verificationTries: integer().notNull().default(0),
    /** The age recipient that its artifacts are sealed for; null: the vault's present one, which is then its first. */
    recipient: text(),
    /** The key that its manifest was re-wrapped for last; null: it is sealed as the artifacts are. */
    manifestRecipient: text(),
    /** A re-wrapped manifest is about to take the place of the recorded one: its sha256, in hex. Until it has, either is right. */
    nextManifestSha256: text(),
    /** The point that it is a second copy of; null for an original. No foreign key: either may go first. */
    copyOfId: uuid(),
    /** When a copy was made; null for an original. */
    copiedAt: timestamp({ precision: 3, withTimezone: true }),
    /** How often in a row an original could not be copied into its vault's replica. */
    copyFailures: integer().notNull().default(0),
    /** Not copied before then, by the clock alone; null: at any time. */
    copyRetryAt: timestamp({ precision: 3, withTimezone: true }),
  },
  (table) => [
    index('recovery_points_by_instance').on(table.instanceId, table.createdAt, table.id),
    index('recovery_points_by_creation').on(table.createdAt, table.id),
    index('recovery_points_by_vault').on(table.vaultId),
    // With the vault, so that points of one are counted by the index alone.
    index('recovery_points_by_expiry')
      .on(table.instanceId, table.expiresAt, table.id, table.vaultId)
      .where(sql`marked_at is null`),
    index('recovery_points_marked').on(table.instanceId, table.markedAt).where(sql`marked_at is not null`),
    index('recovery_points_by_proof').on(table.instanceId, table.vaultId, table.proof, table.createdAt),
    index('recovery_points_by_place').on(table.instanceId, table.vaultId, table.createdAt, table.id),
    uniqueIndex('one_copy_per_point_and_vault').on(table.copyOfId, table.vaultId).where(sql`copy_of_id is not null`),
    index('recovery_points_by_read').on(table.vaultId, bytesReadAt).where(sql`marked_at is null`),
    index('recovery_points_by_decode').on(table.instanceId, decodedOrMadeAt).where(sql`marked_at is null`),
    index('recovery_points_by_restore').on(table.instanceId, table.restoredAt).where(sql`restored_at is not null`),
    index('recovery_points_by_verification')
      .on(table.vaultId, table.verificationTriedAt)
      .where(sql`verification_tried_at is not null`),
    index('recovery_points_suspect').on(table.createdAt, table.id).where(sql`state = 'SUSPECT'`),
    index('recovery_points_anomalous').on(table.instanceId).where(isAnomalous),
  ],
)
