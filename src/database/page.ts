import { and, asc, desc, gt, lt, type SQL, sql } from 'drizzle-orm'
import type { PgColumn } from 'drizzle-orm/pg-core'

/** Where a row stands in an order by time and id, and in one by name when its list has such an order. */
export interface PageCursor {
  at: Date
  id: string
  name?: string
}

/** The first rows after a cursor, or the last rows before one; exactly one of `first` and `last`. */
export interface PageRequest {
  first?: number
  after?: PageCursor
  last?: number
  before?: PageCursor
}

export interface Page<Row> {
  rows: Row[]
  hasNextPage: boolean
  hasPreviousPage: boolean
}

/** Times in order: `NEWEST_FIRST` unless said otherwise. */
export type PageOrder = 'NEWEST_FIRST' | 'OLDEST_FIRST'

export interface Keyset {
  /** What to add to the query's own conditions. */
  where: SQL | undefined
  orderBy: SQL[]
  /** One more than asked for, which tells whether there is another page. */
  limit: number
}

/** The conditions, order and limit that read one page in the order of a time column, kept to the millisecond, and a uuid. */
export function keyset(
  columns: { at: PgColumn; id: PgColumn },
  { first, after, last, before }: PageRequest,
  order: PageOrder = 'NEWEST_FIRST',
): Keyset {
  const isForward = last === undefined
  const isAscending = (order === 'OLDEST_FIRST') === isForward
  const direction = isAscending ? asc : desc
  const position = sql`(${columns.at}, ${columns.id})`
  const beyond = order === 'OLDEST_FIRST' ? sql`>` : sql`<`
  const short = order === 'OLDEST_FIRST' ? sql`<` : sql`>`
  return {
    where: and(
      after && sql`${position} ${beyond} ${placeOf(after)}`,
      before && sql`${position} ${short} ${placeOf(before)}`,
    ),
    orderBy: [direction(columns.at), direction(columns.id)],
    limit: (last ?? first ?? 0) + 1,
  }
}

/** Names in order, as the database sorts texts. */
export type NameOrder = 'NAME_ASCENDING' | 'NAME_DESCENDING'

/** As keyset, in the order of a column of names that are all different; the cursors must tell the name. */
export function keysetByName(column: PgColumn, { first, after, last, before }: PageRequest, order: NameOrder): Keyset {
  const isForward = last === undefined
  const isAscending = (order === 'NAME_ASCENDING') === isForward
  const [beyond, short] = order === 'NAME_ASCENDING' ? [gt, lt] : [lt, gt]
  return {
    where: and(after && beyond(column, after.name ?? ''), before && short(column, before.name ?? '')),
    orderBy: [isAscending ? asc(column) : desc(column)],
    limit: (last ?? first ?? 0) + 1,
  }
}

function placeOf({ at, id }: PageCursor): SQL {
  return sql`(${at.toISOString()}::timestamptz, ${id}::uuid)`
}

/** Makes a page of the rows that a keyset's query answered. */
export function pageOf<Row>(
  answer: readonly Row[],
  { first, after, last, before }: { first?: number; after?: unknown; last?: number; before?: unknown },
): Page<Row> {
  const size = last ?? first ?? 0
  const rows = answer.slice(0, size)
  const hasMore = answer.length > size
  if (last === undefined) return { rows, hasNextPage: hasMore, hasPreviousPage: after !== undefined }
  return { rows: rows.reverse(), hasNextPage: before !== undefined, hasPreviousPage: hasMore }
}
