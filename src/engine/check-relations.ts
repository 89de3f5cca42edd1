import type { ServerAddress } from './address.ts'
import { asEngineError } from './classify.ts'
import { quoteIdentifier, quoteLiteral, quoteQualified } from './quote.ts'
import { openSession, type Session } from './session.ts'

/** What amcheck has looked at and found. */
export interface RelationFacts {
  /** B-tree indexes that were compared with their tables. */
  indexes: number
  /** What is wrong, one sentence each, naming the index or table: at most 20. */
  findings: string[]
  /** What could not be looked at, and why, one sentence each: at most 20. */
  unchecked: string[]
}

const most = 20
/** data_corrupted and index_corrupted: everything else is not amcheck's verdict. */
const corruption = new Set(['XX001', 'XX002'])

interface Relation {
  schema: string
  name: string
  table: string
}

/**
 * Has amcheck compare every B-tree index of a database with its table, row by row, and look at every page of the tables
 * where the server can (PostgreSQL 14). `schema` is amcheck's. Throws an EngineError when the server cannot be asked.
 */
export async function checkRelations(
  address: ServerAddress,
  database: string,
  { schema, signal }: { schema: string; signal: AbortSignal },
): Promise<RelationFacts> {
  await using session = await openSession(address, database, { signal })
  const facts: RelationFacts = { indexes: 0, findings: [], unchecked: [] }
  try {
    for (const index of await listIndexes(session)) await checkIndex(session, index, { schema, facts })
    if (session.versionNumber >= 140_000) {
      for (const table of await listTables(session)) await checkTable(session, table, { schema, facts })
    }
    return facts
  } catch (error) {
    signal.throwIfAborted()
    throw asEngineError(error, `Checking the indexes of database ${quoteIdentifier(database)}`)
  }
}

async function listIndexes({ sql }: Session): Promise<Relation[]> {
  return sql<Relation[]>`
    select n.nspname as schema, c.relname as name, t.relname as table
    from pg_index i join pg_class c on c.oid = i.indexrelid join pg_class t on t.oid = i.indrelid
      join pg_namespace n on n.oid = c.relnamespace join pg_am a on a.oid = c.relam
    where a.amname = 'btree' and c.relkind = 'i' and i.indisready and i.indisvalid and c.relpersistence <> 't'
      and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
    order by n.nspname, c.relname`
}

async function listTables({ sql }: Session): Promise<Relation[]> {
  return sql<Relation[]>`
    select n.nspname as schema, c.relname as name, c.relname as table
    from pg_class c join pg_namespace n on n.oid = c.relnamespace join pg_am a on a.oid = c.relam
    where c.relkind in ('r', 'm') and a.amname = 'heap' and c.relpersistence <> 't'
      and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
    order by n.nspname, c.relname`
}

interface Checking {
  schema: string
  facts: RelationFacts
}

async function checkIndex(session: Session, index: Relation, { schema, facts }: Checking): Promise<void> {
  const relation = quoteLiteral(quoteQualified(index.schema, index.name))
  // Only with it is every row of the table looked for in the index; PostgreSQL 10 cannot.
  const everyRow = session.versionNumber >= 110_000 ? ', true' : ''
  const said = await verdict(
    session,
    `select ${quoteIdentifier(schema)}.bt_index_check(${relation}::regclass${everyRow})`,
  )
  const named = `Index ${quoteQualified(index.schema, index.name)} of table ${quoteQualified(index.schema, index.table)}`
  if (said.kind === 'UNCHECKED') return note(facts.unchecked, `${named} could not be checked: ${said.reason}.`)
  facts.indexes += 1
  if (said.kind === 'CORRUPT') note(facts.findings, `${named} does not agree with it: ${said.reason}.`)
}

async function checkTable(session: Session, table: Relation, { schema, facts }: Checking): Promise<void> {
  const relation = quoteLiteral(quoteQualified(table.schema, table.name))
  const named = `Table ${quoteQualified(table.schema, table.name)}`
  const query = `select blkno::float8 as block, msg as message
    from ${quoteIdentifier(schema)}.verify_heapam(${relation}::regclass) limit 3`
  const said = await verdict(session, query)
  if (said.kind === 'UNCHECKED') return note(facts.unchecked, `${named} could not be checked: ${said.reason}.`)
  if (said.kind === 'CORRUPT') return note(facts.findings, `${named} is damaged: ${said.reason}.`)
  for (const { block, message } of said.rows) {
    if (message !== undefined) note(facts.findings, `${named} is damaged at block ${block}: ${message}.`)
  }
}

type Verdict =
  | { kind: 'ANSWERED'; rows: { block?: number; message?: string }[] }
  | { kind: 'CORRUPT'; reason: string }
  | { kind: 'UNCHECKED'; reason: string }

async function verdict(session: Session, query: string): Promise<Verdict> {
  try {
    return { kind: 'ANSWERED', rows: await session.sql.unsafe<{ block?: number; message?: string }[]>(query) }
  } catch (error) {
    if (session.lost.aborted) throw session.lost.reason
    const code = error instanceof Error && 'code' in error ? String(error.code) : ''
    const failure = asEngineError(error, query)
    if (corruption.has(code)) return { kind: 'CORRUPT', reason: failure.details.split('\n')[0] ?? '' }
    // The code of whoever made an index on a function may fail in any way: that says nothing about the index.
    if (/^[A-Z0-9]{5}$/.test(code) && !code.startsWith('57') && !code.startsWith('53')) {
      return { kind: 'UNCHECKED', reason: failure.details.split('\n')[0] ?? '' }
    }
    throw failure
  }
}

function note(sentences: string[], sentence: string): void {
  if (sentences.length < most) sentences.push(sentence)
}
