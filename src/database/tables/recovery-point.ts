import { bigint, index, integer, jsonb, pgEnum, pgTable, text, timestamp, uuid } from 'drizzle-orm/pg-core'
import { backupInstances } from './backup-instance.ts'
import { jobs } from './job.ts'
import { vaults } from './vault.ts'

export const retentionTag = pgEnum('retention_tag', ['DEFAULT', 'DAILY', 'WEEKLY', 'MONTHLY', 'YEARLY'])
export const proofLevel = pgEnum('proof_level', ['WRITTEN', 'READ_BACK', 'DECODED', 'RESTORED'])
export const recoveryPointState = pgEnum('recovery_point_state', ['AVAILABLE', 'SUSPECT'])

/** One database inside a recovery point, as the catalogue remembers it; the manifest in the vault holds all of it. */
export interface ContainedDatabase {
  name: string
  /** Size on the server when it was dumped, bytes. */
  sourceBytes: number
  /** Size in the vault, bytes. */
  storedBytes: number
  tableCount: number
  rowCount: number
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
    /** The backup job that made it; one point per job at most. */
    jobId: uuid()
      .notNull()
      .unique()
      .references(() => jobs.id),
    /** Folder of its artifacts in the vault: ids only. */
    prefix: text().notNull().unique(),
    state: recoveryPointState().notNull(),
    /** Why the point is SUSPECT: one sentence a damaged artifact, naming it. */
    damage: jsonb().$type<string[]>().notNull().default([]),
    tag: retentionTag().notNull(),
    /** The moment whose data it holds: that of the first dump's snapshot. */
    pointInTime: timestamp({ precision: 3, withTimezone: true }).notNull(),
    createdAt: timestamp({ precision: 3, withTimezone: true }).notNull(),
    expiresAt: timestamp({ precision: 3, withTimezone: true }).notNull(),
    proof: proofLevel().notNull(),
    provenAt: timestamp({ precision: 3, withTimezone: true }).notNull(),
    /** sha256, in hex, of the sealed manifest as stored. */
    manifestSha256: text().notNull(),
    serverVersionNumber: integer().notNull(),
    toolMajor: integer().notNull(),
    sourceBytes: bigint({ mode: 'number' }).notNull(),
    storedBytes: bigint({ mode: 'number' }).notNull(),
    databases: jsonb().$type<ContainedDatabase[]>().notNull(),
  },
  (table) => [
    index('recovery_points_by_instance').on(table.instanceId, table.createdAt, table.id),
    index('recovery_points_by_creation').on(table.createdAt, table.id),
    index('recovery_points_by_vault').on(table.vaultId),
  ],
)
