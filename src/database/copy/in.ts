import { once } from 'node:events'
import type { Readable } from 'node:stream'
import { finished } from 'node:stream/promises'
import postgres from 'postgres'
import { beginAnew } from '../begin-anew.ts'
import { type CopyFacts, endOfRows, firstLine, lastLine, quote, rowCountLine, tableBegunBy } from './format.ts'
import { linesOf } from './lines.ts'

const largestBatchBytes = 65_536

/** A copy is not one that this version can read, or not all of it is there; the message says which. */
export class UnreadableCopy extends Error {}

export interface CopyReader {
  facts: CopyFacts
  /** Fills the tables, which are there and empty, in one transaction; answers how many rows there are of each. */
  fill: (url: string) => Promise<Map<string, number>>
}

/** Reads what a copy says of itself, and then its tables. Throws UnreadableCopy for what is none. */
export async function readCopy(source: Readable): Promise<CopyReader> {
  const lines = linesOf(source)
  const next = async () => (await lines.next()).value?.toString()
  const facts = (await next()) === `${firstLine}\n` ? factsIn(await next()) : undefined
  if (!facts) throw new UnreadableCopy('This is no copy of the metadata of Holdfast that this version can read.')
  return { facts, fill: (url) => fillTables(url, lines) }
}

async function fillTables(url: string, lines: AsyncGenerator<Buffer>): Promise<Map<string, number>> {
  const connection = { application_name: 'holdfast recovery', statement_timeout: 0 }
  const sql = postgres(url, {
    max: 1,
    idle_timeout: 0,
    max_lifetime: null,
    fetch_types: false,
    onnotice: () => {},
    connection,
  })
  const counts = new Map<string, number>()
  try {
    await sql.unsafe('begin')
    await emptyTables(sql)
    for (;;) {
      const line = (await lines.next()).value?.toString()
      if (line === `${lastLine}\n`) break
      const table = line === undefined ? undefined : tableBegunBy(line.trimEnd())
      if (line === undefined || table === undefined)
        throw new UnreadableCopy('The copy of the metadata ends too early.')
      counts.set(table, await fillTable(sql, line.trimEnd(), lines))
    }
    await beginAnew(sql)
    await sql.unsafe('commit')
    return counts
  } finally {
    await sql.end({ timeout: 1 })
  }
}

/** Rows that a step of the history has put there are in the copy as well. */
async function emptyTables(sql: postgres.Sql): Promise<void> {
  const tables = await sql<{ name: string }[]>`
    select relname as name from pg_class where relkind = 'r' and relnamespace = 'public'::regnamespace`
  for (const { name } of tables) {
    const [first] = await sql.unsafe(`select from ${quote(name)} limit 1`)
    if (first) await sql.unsafe(`truncate ${quote(name)} cascade`)
  }
}

async function fillTable(sql: postgres.Sql, statement: string, lines: AsyncGenerator<Buffer>): Promise<number> {
  const sink = await openSink(sql, statement)
  try {
    return await fillSink(sink, lines)
  } catch (cause) {
    sink.giveUp()
    throw cause
  }
}

async function fillSink(sink: TableSink, lines: AsyncGenerator<Buffer>): Promise<number> {
  let batch: Buffer[] = []
  let batchBytes = 0
  let rows = 0
  for (;;) {
    const { value: line, done } = await lines.next()
    if (done) throw new UnreadableCopy('The copy of the metadata ends in the middle of a table.')
    const isOver = line.length === 3 && line.toString() === `${endOfRows}\n`
    if (isOver || batchBytes + line.length > largestBatchBytes) {
      await sink.write(Buffer.concat(batch))
      batch = []
      batchBytes = 0
    }
    if (isOver) break
    rows++
    batch.push(line)
    batchBytes += line.length
  }
  await sink.close()
  const count = (await lines.next()).value?.toString()
  if (count !== `${rowCountLine(rows)}\n`) {
    throw new UnreadableCopy(`The copy holds ${rows} rows of a table and says of it "${count?.trim()}".`)
  }
  return rows
}

interface TableSink {
  write(bytes: Buffer): Promise<void>
  /** Resolves when the database has taken all. */
  close(): Promise<void>
  giveUp(): void
}

/** What takes the rows of one table. The driver does not tell of a failure after the last byte: the next statement does. */
async function openSink(sql: postgres.Sql, statement: string): Promise<TableSink> {
  const stream = await sql.unsafe(statement.replace(/;$/, '')).writable()
  const ended = finished(stream)
  ended.catch(() => {})
  const isSent = Promise.withResolvers<void>()
  const final = stream._final.bind(stream)
  stream._final = (callback) => {
    final(callback)
    isSent.resolve()
  }
  return {
    async write(bytes: Buffer): Promise<void> {
      if (bytes.length > 0 && !stream.write(bytes)) await Promise.race([once(stream, 'drain'), ended])
    },
    giveUp: () => void stream.destroy(new Error('given up')),
    async close(): Promise<void> {
      stream.end()
      await Promise.race([isSent.promise, ended])
      await sql.unsafe('select 1').catch((cause) => {
        throw new UnreadableCopy(`The database did not take the rows of ${statement.split(' ')[1]}.`, { cause })
      })
    },
  }
}

function factsIn(line: string | undefined): CopyFacts | undefined {
  if (!line?.startsWith('-- {')) return undefined
  try {
    // Written by copyOut; whoever got here has compared the copy's digest.
    return JSON.parse(line.slice(3)) as CopyFacts
  } catch {
    return undefined
  }
}
