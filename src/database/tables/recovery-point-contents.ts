import { sql } from 'drizzle-orm'
import { bigint, index, integer, jsonb, pgEnum, pgTable, primaryKey, text, timestamp, uuid } from 'drizzle-orm/pg-core'
import { recoveryPoints } from './recovery-point.ts'

export const tableKind = pgEnum('table_kind', ['TABLE', 'PARTITION', 'PARTITIONED_TABLE'])

/** One database of a recovery point, apart from its schemas and tables; the sums leave no table out. */
export interface DatabaseFacts {
  name: string
  /** Size on the server when it was dumped, bytes. */
  sourceBytes: number
  ownerName: string
  encoding: string
  localeProvider: 'LIBC' | 'ICU' | 'BUILTIN'
  collate: string
  ctype: string
  /** The locale of the ICU or builtin provider; null for LIBC. */
  locale: string | null
  extensions: { name: string; version: string; schema: string }[]
  schemaCount: number
  /** Tables that hold rows of their own. */
  tableCount: number
  /** All tables that are listed: partitioned ones too, whose rows are in their partitions. */
  listedTableCount: number
  rowCount: number
}

/** One role of the server, without anything secret. */
export interface RoleFacts {
  name: string
  isSuperuser: boolean
  canLogin: boolean
  inherits: boolean
  createsDatabases: boolean
  createsRoles: boolean
  isReplication: boolean
  bypassesRowSecurity: boolean
  connectionLimit: number
  /** In PostgreSQL's own text form; null: without end. */
  validUntil: string | null
  memberOf: string[]
}

/** What a recovery point holds, as its manifest says; points that were recorded by version 0.2 and older have none. */
export const recoveryPointContents = pgTable(
  'recovery_point_contents',
  {
    id: uuid().primaryKey(),
    /** Null while they are being written: nobody sees them, and they go when their job is over. */
    recoveryPointId: uuid()
      .unique()
      .references(() => recoveryPoints.id, { onDelete: 'cascade' }),
    /** The job that wrote them. No foreign key: it is a name to clean up by. */
    jobId: uuid().notNull(),
    databases: jsonb().$type<DatabaseFacts[]>().notNull(),
    roles: jsonb().$type<RoleFacts[]>().notNull(),
    recordedAt: timestamp({ precision: 3, withTimezone: true }).notNull(),
  },
  (table) => [index('recovery_point_contents_unfinished').on(table.jobId).where(sql`recovery_point_id is null`)],
)

const contentsId = () =>
  uuid()
    .notNull()
    .references(() => recoveryPointContents.id, { onDelete: 'cascade' })

/** Where its tables begin among those of the database, and how many they are: a schema's tables are next to each other. */
export const recoveryPointSchemas = pgTable(
  'recovery_point_schemas',
  {
    contentsId: contentsId(),
    /** The database's place in `databases`, from 0. */
    database: integer().notNull(),
    /** Its place among the database's schemas, from 0, in the order of their names. */
    position: integer().notNull(),
    name: text().notNull(),
    /** Null where the manifest does not say. */
    ownerName: text(),
    firstTable: integer().notNull(),
    listedTableCount: integer().notNull(),
    tableCount: integer().notNull(),
    rowCount: bigint({ mode: 'number' }).notNull(),
    /** Null where the manifest does not say. */
    sizeBytes: bigint({ mode: 'number' }),
  },
  (table) => [
    primaryKey({ columns: [table.contentsId, table.database, table.position] }),
    index('recovery_point_schemas_by_name').on(table.contentsId, table.database, table.name),
  ],
)

export const recoveryPointTables = pgTable(
  'recovery_point_tables',
  {
    contentsId: contentsId(),
    database: integer().notNull(),
    /** Its place among the database's tables, from 0, in the order of schema and name. */
    position: integer().notNull(),
    /** Its place when the largest comes first, from 0. */
    sizePosition: integer().notNull(),
    schema: text().notNull(),
    name: text().notNull(),
    kind: tableKind().notNull(),
    /** The table that it is a partition of. */
    partitionOf: jsonb().$type<{ schema: string; name: string }>(),
    rowCount: bigint({ mode: 'number' }).notNull(),
    /** With what is stored out of line, without indexes; null where the manifest does not say. */
    sizeBytes: bigint({ mode: 'number' }),
  },
  (table) => [
    primaryKey({ columns: [table.contentsId, table.database, table.position] }),
    index('recovery_point_tables_by_size').on(table.contentsId, table.database, table.sizePosition, table.position),
  ],
)
