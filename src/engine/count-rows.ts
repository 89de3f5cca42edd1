import type { ServerAddress } from './address.ts'
import { asEngineError } from './classify.ts'
import { quoteQualified } from './quote.ts'
import { openSession, type Session } from './session.ts'

/** How many rows one table holds, and how much space they take. */
export interface TableRows {
  schema: string
  name: string
  rows: number
  /** The table with its out-of-line values, without its indexes: pg_table_size. Manifests of version 0.2 do not say. */
  bytes?: number
  /** The table that it is a partition of; left out for others. */
  partitionOf?: { schema: string; name: string }
}

/** What is counted of a database, at one moment. */
export interface RowFacts {
  tables: TableRows[]
  largeObjectCount: number
}

/** A table that is to be counted. */
export interface CountedTable {
  oid: number
  schema: string
  name: string
  pages: number
  partitionOf: { schema: string; name: string } | null
}

const largestBatchPages = 10_000
const largestBatchTables = 50

/**
 * The tables whose rows a dump carries: ordinary ones, partitions included; not foreign tables, not those that belong
 * to an extension, and on a standby not the unlogged ones, which cannot be read there.
 */
export async function listTables({ sql }: Pick<Session, 'sql'>): Promise<CountedTable[]> {
  return sql<CountedTable[]>`
    select c.oid::int8::float8 as oid, n.nspname as schema, c.relname as name, c.relpages as pages,
      (select jsonb_build_object('schema', parent_schema.nspname, 'name', parent.relname)
        from pg_inherits i join pg_class parent on parent.oid = i.inhparent
        join pg_namespace parent_schema on parent_schema.oid = parent.relnamespace
        where c.relispartition and i.inhrelid = c.oid) as "partitionOf"
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
      ({ oid, schema, name }, at) =>
        `select ${at} as at, count(*)::float8 as rows, pg_table_size(${oid}::oid)::float8 as bytes from only ${quoteQualified(schema, name)}`,
    )
    const answer = await sql.unsafe<{ at: number; rows: number; bytes: number }[]>(query.join(' union all '))
    for (const { at, rows, bytes } of answer) {
      const table = batch[at]
      if (table) counted.push(countedAs(table, rows, bytes))
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

function countedAs({ schema, name, partitionOf }: CountedTable, rows: number, bytes: number): TableRows {
  return { schema, name, rows, bytes, ...(partitionOf && { partitionOf }) }
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
