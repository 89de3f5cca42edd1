import type postgres from 'postgres'
import { type CountedTable, listTables } from './count-rows.ts'
import { EngineError } from './engine-error.ts'
import { quoteQualified } from './quote.ts'
import type { Session } from './session.ts'

/** A moment of a database, held open for as long as its session is. */
export interface Snapshot {
  /** For pg_dump --snapshot. */
  id: string
  at: Date
  /** The tables that it holds. */
  tables: CountedTable[]
}

const tablesPerLock = 100
const attempts = 5

/**
 * Locks every table that will be read against being changed in shape, then takes and exports a snapshot; the session's
 * transaction stays open. With the locks taken first, nobody who waits for a table can come between its dump and its
 * count. Fails with SQLSTATE 57014 or 55P03 when the locks are not to be had within `lockWaitMs`.
 */
export async function exportSnapshot(session: Session, lockWaitMs: number): Promise<Snapshot> {
  const { sql } = session
  const until = performance.now() + lockWaitMs
  for (let attempt = 1; ; attempt++) {
    const tables = await listTables(session)
    await sql.unsafe('begin transaction isolation level repeatable read, read only')
    const gone = await lockTables(sql, tables, until)
    if (gone === undefined) break
    if (attempt === attempts) throw gone
    await sql.unsafe('rollback')
  }
  const [row] = await sql<{ id: string; at: number }[]>`
    select pg_export_snapshot() as id, extract(epoch from statement_timestamp())::float8 * 1000 as at`
  if (!row) throw new EngineError('TOOL_FAILED', 'The server exported no snapshot.')
  return { id: row.id, at: new Date(Math.floor(row.at)), tables: await listTables(session) }
}

/** Answers the error when a table went away since the list was made; a LOCK takes no snapshot, so the moment is still open. */
async function lockTables(sql: postgres.Sql, tables: readonly CountedTable[], until: number): Promise<unknown> {
  try {
    for (let at = 0; at < tables.length; at += tablesPerLock) {
      const names = tables
        .slice(at, at + tablesPerLock)
        .map(({ schema, name }) => `only ${quoteQualified(schema, name)}`)
      const leftMs = Math.max(1, Math.ceil(until - performance.now()))
      await sql.unsafe(`set local statement_timeout = ${leftMs}; lock table ${names.join(', ')} in access share mode`)
    }
    await sql.unsafe('set local statement_timeout = 0')
    return undefined
  } catch (error) {
    if (error instanceof Error && 'code' in error && (error.code === '42P01' || error.code === '3F000')) return error
    throw error
  }
}

interface Holder {
  name: string
  pid: number
  user: string | null
  application: string | null
}

/** Says who keeps which tables of a database from being read, as far as it can still be seen. */
export async function describeLocks({ sql }: Session): Promise<string> {
  const holders = await sql<Holder[]>`
    select quote_ident(n.nspname) || '.' || quote_ident(c.relname) as name, l.pid, a.usename as user,
      a.application_name as application
    from pg_locks l
    join pg_class c on c.oid = l.relation join pg_namespace n on n.oid = c.relnamespace
    left join pg_stat_activity a on a.pid = l.pid
    where l.locktype = 'relation' and l.mode = 'AccessExclusiveLock' and c.relkind in ('r', 'p')
      and l.database = (select d.oid from pg_database d where d.datname = current_database())
    order by l.granted desc, 1 limit 3`
  return holders
    .map(({ name, pid, user, application }) => {
      const who = [user && `role ${user}`, application].filter((each) => each).join(', ')
      return `Table ${name} is locked by session ${pid}${who && ` (${who})`}.`
    })
    .join(' ')
}
