import type {
  DatabaseFacts,
  RoleFacts,
  recoveryPointContents,
  recoveryPointSchemas,
  recoveryPointTables,
} from '../../database/tables/recovery-point-contents.ts'

/** A name that is unique in a database: that of a table. */
export interface QualifiedName {
  schema: string
  name: string
}

/** One table as the manifest tells of it. */
export interface ListedTable extends QualifiedName {
  /** Its own: those of a partitioned table are in its partitions. */
  rows: number
  /** With what is stored out of line, without indexes; undefined where the manifest does not say. */
  bytes?: number | undefined
  partitionOf?: QualifiedName | null | undefined
}

/** One database as the manifest tells of it. */
export interface ListedDatabase
  extends Omit<DatabaseFacts, 'schemaCount' | 'tableCount' | 'listedTableCount' | 'rowCount'> {
  /** Undefined where the manifest does not say: then those that have tables. */
  schemas?: readonly { name: string; ownerName: string }[] | undefined
  /** Those with rows of their own, partitions included. */
  tables: readonly ListedTable[]
  /** Tables whose rows are in their partitions; undefined where the manifest does not say. */
  partitionedTables?: readonly Omit<ListedTable, 'rows' | 'bytes'>[] | undefined
}

/** What a recovery point holds, in plain facts: whoever has read its manifest can say them. */
export interface PointFacts {
  databases: readonly ListedDatabase[]
  roles: readonly RoleFacts[]
}

/** What is remembered of what a recovery point holds; its roles apart, for they can be many. */
export type PointContents = Pick<typeof recoveryPointContents.$inferSelect, 'id' | 'databases' | 'recordedAt'>

/** One database in it. */
export interface DatabaseContents extends DatabaseFacts {
  contentsId: string
  /** Its place among the point's databases, from 0. */
  position: number
}

export type SchemaContents = typeof recoveryPointSchemas.$inferSelect
export type TableContents = typeof recoveryPointTables.$inferSelect
export type { RoleFacts }
