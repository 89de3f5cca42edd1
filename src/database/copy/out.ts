import { Readable, type Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import postgres from 'postgres'
import { type CopyFacts, copyStatement, endOfRows, firstLine, lastLine, quote, rowCountLine } from './format.ts'

export interface CopyOut {
  /** What the copy says of itself beside what the database tells. */
  facts: Pick<CopyFacts, 'version' | 'jobId' | 'keyFile'>
  signal?: AbortSignal | undefined
  /** Hears how many rows have been read so far. */
  onRows?: (rows: number) => void
}

/**
 * Writes every table of the metadata database, as it is at one moment, into the sink, and ends it; in bounded memory, on a
 * connection of its own that holds up nobody. Throws what the database, the sink or the signal fails with.
 */
export async function copyOut(url: string, sink: Writable, options: CopyOut): Promise<void> {
  const { signal } = options
  signal?.throwIfAborted()
  // A slow sink may take its time: the statements wait for it.
  const connection = {
    application_name: 'holdfast metadata copy',
    statement_timeout: 0,
    idle_in_transaction_session_timeout: 0,
    timezone: 'UTC',
    datestyle: 'ISO, YMD',
  }
  const sql = postgres(url, {
    max: 1,
    idle_timeout: 0,
    max_lifetime: null,
    fetch_types: false,
    onnotice: () => {},
    connection,
  })
  const stop = () => void sql.end({ timeout: 0 })
  signal?.addEventListener('abort', stop)
  try {
    await sql.unsafe('begin transaction isolation level repeatable read, read only')
    await pipeline(Readable.from(textOf(sql, options), { objectMode: false }), sink, { signal })
    await sql.unsafe('commit')
  } finally {
    signal?.removeEventListener('abort', stop)
    await sql.end({ timeout: 1 })
  }
}

async function* textOf(sql: postgres.Sql, { facts, onRows }: CopyOut): AsyncGenerator<string | Buffer> {
  const [now] = await sql<{ at: number }[]>`select extract(epoch from clock_timestamp())::float8 * 1000 as at`
  const migrations = await sql<CopyFacts['migrations']>`
    select hash, created_at::float8 as at from drizzle.__drizzle_migrations order by created_at`
  const copyFacts: CopyFacts = {
    ...facts,
    createdAt: new Date(Math.floor(now?.at ?? 0)).toISOString(),
    migrations: migrations.map(({ hash, at }) => ({ hash, at })),
  }
  yield `${firstLine}\n-- ${JSON.stringify(copyFacts)}\n`
  let sum = 0
  for (const { name, columns } of await tablesOf(sql)) {
    yield `${copyStatement(name, columns)}\n`
    let rows = 0
    const stream = await sql.unsafe(`copy ${quote(name)} (${columns.map(quote).join(', ')}) to stdout`).readable()
    // What the driver answers is a stream of bytes; its type says less.
    for await (const chunk of stream as AsyncIterable<Buffer>) {
      rows += linesIn(chunk)
      yield chunk
    }
    yield `${endOfRows}\n${rowCountLine(rows)}\n`
    sum += rows
    onRows?.(sum)
  }
  yield `${lastLine}\n`
}

interface TableShape {
  name: string
  columns: string[]
}

/** Every table of ours, each after those that it refers to: so they can be filled in that order. */
async function tablesOf(sql: postgres.Sql): Promise<TableShape[]> {
  const tables = await sql<{ name: string; columns: string[]; needs: string[] }[]>`
    select c.relname as name,
      (select jsonb_agg(a.attname order by a.attnum) from pg_attribute a
        where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped and a.attgenerated = '') as columns,
      coalesce((select jsonb_agg(distinct other.relname) from pg_constraint k join pg_class other on other.oid = k.confrelid
        where k.contype = 'f' and k.conrelid = c.oid and k.confrelid <> c.oid), '[]') as needs
    from pg_class c where c.relkind = 'r' and c.relnamespace = 'public'::regnamespace
    order by c.relname`
  const ordered: TableShape[] = []
  const done = new Set<string>()
  while (ordered.length < tables.length) {
    const next = tables.find(({ name, needs }) => !done.has(name) && needs.every((each) => done.has(each)))
    if (!next)
      throw new Error(
        'Tables of the metadata database refer to each other in a circle: there is no order to fill them in.',
      )
    done.add(next.name)
    ordered.push({ name: next.name, columns: next.columns })
  }
  return ordered
}

function linesIn(chunk: Buffer): number {
  let lines = 0
  for (let at = chunk.indexOf(10); at !== -1; at = chunk.indexOf(10, at + 1)) lines++
  return lines
}
