import type { ServerAddress } from './address.ts'
import { asEngineError } from './classify.ts'
import { quoteQualified } from './quote.ts'
import { openSession, type Session } from './session.ts'

/** How many rows one table holds. */
export interface TableRows {
  schema: string
  name: string
  rows: number
}

/** What is counted of a database, at one moment. */
export interface RowFacts {
  tables: TableRows[]
  largeObjectCount: number
}

/** A table that is to be counted. */
export interface CountedTable {
  schema: string
  name: string
  pages: number
}

const largestBatchPages = 10_000
const largestBatchTables = 50

/**
 * The tables whose rows a dump carries: ordinary ones, partitions included; not foreign tables, not those that belong
 * to an extension, and on a standby not the unlogged ones, which cannot be read there.
 */
export async function listTables({ sql }: Pick<Session, 'sql'>): Promise<CountedTable[]> {
  return sql<CountedTable[]>`
    select n.nspname as schema, c.relname as name, c.relpages as pages
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where c.relkind = 'r' and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
      and (c.relpersistence = 'p' or c.relpersistence = 'u' and not pg_is_in_recovery())
      and not exists (select from pg_depend d
        where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype = 'e')
    order by n.nspname, c.relname`
}

/** Counts in the session's own transaction; `onRows` hears the sum so far. */
export async function countTables(
  { sql }: Pick<Session, 'sql'>,
  tables: readonly CountedTable[],
  onRows: (rows: number) => void = () => {},
): Promise<RowFacts> {
  const counted: TableRows[] = []
  let sum = 0
  for (const batch of batchesOf(tables)) {
    const query = batch.map(
      ({ schema, name }, at) =>
        `select ${at} as at, count(*)::float8 as rows from only ${quoteQualified(schema, name)}`,
    )
    for (const { at, rows } of await sql.unsafe<{ at: number; rows: number }[]>(query.join(' union all '))) {
      const table = batch[at]
      if (table) counted.push({ schema: table.schema, name: table.name, rows })
      sum += rows
    }
    onRows(sum)
  }
  const [largeObjects] = await sql<{ count: number }[]>`select count(*)::float8 as count from pg_largeobject_metadata`
  return { tables: counted.sort(byName), largeObjectCount: largeObjects?.count ?? 0 }
}

/** Counts every table of a database, all at one moment. Throws an EngineError when one cannot be read whole. */
export async function countRows(
  address: ServerAddress,
  database: string,
  { signal, onRows }: { signal?: AbortSignal | undefined; onRows?: (rows: number) => void } = {},
): Promise<RowFacts> {
  await using session = await openSession(address, database, { signal })
  try {
    await session.sql.unsafe('begin transaction isolation level repeatable read, read only')
    const facts = await countTables(session, await listTables(session), onRows)
    await session.sql.unsafe('commit')
    return facts
  } catch (error) {
    signal?.throwIfAborted()
    throw asEngineError(error, `Counting the rows of database ${JSON.stringify(database)}`)
  }
}

// Small tables share a query, so that a database of thousands does not pay a round trip for each.
function* batchesOf(tables: readonly CountedTable[]): Generator<CountedTable[]> {
  let batch: CountedTable[] = []
  let pages = 0
  for (const table of tables.toSorted((left, right) => left.pages - right.pages)) {
    if (batch.length === largestBatchTables || (batch.length > 0 && pages + table.pages > largestBatchPages)) {
      yield batch
      batch = []
      pages = 0
    }
    batch.push(table)
    pages += table.pages
  }
  if (batch.length > 0) yield batch
}

function byName(left: TableRows, right: TableRows): number {
  return compareText(left.schema, right.schema) || compareText(left.name, right.name)
}

function compareText(left: string, right: string): number {
  return left === right ? 0 : left < right ? -1 : 1
}
