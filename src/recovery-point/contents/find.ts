import { and, asc, desc, gt, inArray, lt, type SQL, sql } from 'drizzle-orm'
import type { PgColumn } from 'drizzle-orm/pg-core'
import type { Database } from '../../database/connect.ts'
import { type Page, pageOf } from '../../database/page.ts'
import {
  recoveryPointContents,
  recoveryPointSchemas,
  recoveryPointTables,
} from '../../database/tables/recovery-point-contents.ts'
import type { PointContents, RoleFacts, SchemaContents, TableContents } from './contents.ts'

/** A part of a list of schemas or tables, whose places are numbers. */
export interface PlacePage {
  first?: number
  after?: number
  last?: number
  before?: number
}

/** Which tables; what is left out does not matter. */
export interface TableFilter {
  /** In the schema of exactly this name. */
  schema?: string
  /** With this text in their name, in any case of letters. */
  nameContains?: string
}

export type TableOrder = 'NAME' | 'SIZE'

/** One database of one point's contents: `<contents id>:<the database's position>`. */
export type DatabaseKey = string

/** The key of a database, for what is found of many at once. */
export function databaseKey({ contentsId, position }: { contentsId: string; position: number }): DatabaseKey {
  return `${contentsId}:${position}`
}

/** What each of many points holds, by the point's id; points of which nothing was written down are left out. */
export async function findContents(
  database: Database,
  recoveryPointIds: readonly string[],
): Promise<Map<string, PointContents>> {
  if (recoveryPointIds.length === 0) return new Map()
  const { id, recoveryPointId, databases, recordedAt } = recoveryPointContents
  const rows = await database
    .select({ id, recoveryPointId, databases, recordedAt })
    .from(recoveryPointContents)
    .where(inArray(recoveryPointId, [...recoveryPointIds]))
  return new Map(rows.map(({ recoveryPointId: pointId, ...contents }) => [pointId ?? '', contents]))
}

/** The roles in each of many contents, by the contents' id. */
export async function findRolesIn(
  database: Database,
  contentsIds: readonly string[],
): Promise<Map<string, RoleFacts[]>> {
  if (contentsIds.length === 0) return new Map()
  const { id, roles } = recoveryPointContents
  const rows = await database
    .select({ id, roles })
    .from(recoveryPointContents)
    .where(inArray(id, [...contentsIds]))
  return new Map(rows.map((row) => [row.id, row.roles]))
}

/** The same page of the schemas of each of many databases, by name. */
export async function pageSchemas(
  database: Database,
  { keys, nameContains, page }: { keys: readonly DatabaseKey[]; nameContains?: string | undefined; page: PlacePage },
): Promise<Map<DatabaseKey, Page<SchemaContents>>> {
  if (keys.length === 0) return new Map()
  const { name, position } = recoveryPointSchemas
  const { where, orderBy, limit } = placeset(position, page)
  const part = database
    .select()
    .from(recoveryPointSchemas)
    .where(and(isWantedIn(recoveryPointSchemas), contains(name, nameContains), where))
    .orderBy(orderBy)
    .limit(limit)
    .as('part')
  const rows = await database
    .select()
    .from(wantedDatabases(keys))
    .innerJoinLateral(part, sql`true`)
    .orderBy(placeset(part.position, page).orderBy)
  return pagesOf(
    keys,
    rows.map((row) => row.part),
    page,
  )
}

/** The same page of the matching tables of each of many databases, by schema and name, or the largest first. */
export async function pageTables(
  database: Database,
  {
    keys,
    filter,
    order,
    page,
  }: { keys: readonly DatabaseKey[]; filter: TableFilter; order: TableOrder; page: PlacePage },
): Promise<Map<DatabaseKey, Page<TableContents>>> {
  if (keys.length === 0) return new Map()
  const { position, sizePosition } = recoveryPointTables
  const { where, orderBy, limit } = placeset(order === 'NAME' ? position : sizePosition, page)
  const part = database
    .select()
    .from(recoveryPointTables)
    .where(and(isWantedIn(recoveryPointTables), tablesMatching(filter), where))
    .orderBy(orderBy)
    .limit(limit)
    .as('part')
  const rows = await database
    .select()
    .from(wantedDatabases(keys))
    .innerJoinLateral(part, sql`true`)
    .orderBy(placeset(order === 'NAME' ? part.position : part.sizePosition, page).orderBy)
  return pagesOf(
    keys,
    rows.map((row) => row.part),
    page,
  )
}

/** How many schemas each of many databases has whose name holds a text, by the database's key. */
export async function countSchemas(
  database: Database,
  { keys, nameContains }: { keys: readonly DatabaseKey[]; nameContains: string },
): Promise<Map<DatabaseKey, number>> {
  return countIn(database, keys, recoveryPointSchemas, contains(recoveryPointSchemas.name, nameContains))
}

/** How many tables of each of many databases match, by the database's key. */
export async function countTables(
  database: Database,
  { keys, filter }: { keys: readonly DatabaseKey[]; filter: TableFilter },
): Promise<Map<DatabaseKey, number>> {
  return countIn(database, keys, recoveryPointTables, tablesMatching(filter))
}

type Listed = typeof recoveryPointSchemas | typeof recoveryPointTables

async function countIn(
  database: Database,
  keys: readonly DatabaseKey[],
  listed: Listed,
  matching: SQL | undefined,
): Promise<Map<DatabaseKey, number>> {
  if (keys.length === 0) return new Map()
  const rows = await database.execute<{ contents_id: string; database: number; count: number }>(sql`
    select wanted.contents_id, wanted.database, counted.count::int as count
    from ${wantedDatabases(keys)}, lateral (
      select count(*) from ${listed} where ${and(isWantedIn(listed), matching)}) counted`)
  return new Map(rows.map((row) => [databaseKey({ contentsId: row.contents_id, position: row.database }), row.count]))
}

/** A schema's tables are one stretch, so that no name of a table has to be looked at to find them. */
function tablesMatching({ schema, nameContains }: TableFilter): SQL | undefined {
  const { position, name } = recoveryPointTables
  const place = (what: SQL) =>
    sql`(select ${what} from recovery_point_schemas its where its.contents_id = wanted.contents_id
      and its.database = wanted.database and its.name = ${schema})`
  return and(
    schema === undefined ? undefined : sql`${position} >= ${place(sql`its.first_table`)}`,
    schema === undefined ? undefined : sql`${position} < ${place(sql`its.first_table + its.listed_table_count`)}`,
    contains(name, nameContains),
  )
}

function contains(name: PgColumn, text: string | undefined): SQL | undefined {
  return text === undefined ? undefined : sql`strpos(lower(${name}), lower(${text})) > 0`
}

function wantedDatabases(keys: readonly DatabaseKey[]): SQL {
  const parts = [...new Set(keys)].map((key) => key.split(':'))
  const ids = `{${parts.map(([id]) => id).join(',')}}`
  const positions = `{${parts.map(([, position]) => position).join(',')}}`
  return sql`unnest(${ids}::text::uuid[], ${positions}::text::int[]) as wanted (contents_id, database)`
}

function isWantedIn(listed: Listed): SQL {
  return sql`${listed.contentsId} = wanted.contents_id and ${listed.database} = wanted.database`
}

function placeset(place: PgColumn, { first, after, last, before }: PlacePage) {
  return {
    where: and(
      after === undefined ? undefined : gt(place, after),
      before === undefined ? undefined : lt(place, before),
    ),
    orderBy: last === undefined ? asc(place) : desc(place),
    limit: (last ?? first ?? 0) + 1,
  }
}

function pagesOf<Row extends { contentsId: string; database: number }>(
  keys: readonly DatabaseKey[],
  rows: readonly Row[],
  page: PlacePage,
): Map<DatabaseKey, Page<Row>> {
  const found = Map.groupBy(rows, ({ contentsId, database: position }) => databaseKey({ contentsId, position }))
  return new Map(keys.map((key) => [key, pageOf(found.get(key) ?? [], page)]))
}
