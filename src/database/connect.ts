import type { PgDatabase } from 'drizzle-orm/pg-core'
import { drizzle, type PostgresJsQueryResultHKT } from 'drizzle-orm/postgres-js'
import { openPool } from './pool.ts'

/** The pool or a transaction in it: every operation takes this first. */
export type Database = PgDatabase<PostgresJsQueryResultHKT, Record<string, never>>

export interface DatabaseConnection extends AsyncDisposable {
  database: Database
}

/**
 * Opens a pool on the metadata database. Nothing is dialled before the first query. A query that the network or the server
 * leaves unanswered fails in bounded time. Disposing of the pool waits at most 5 s for running queries.
 */
export function connectDatabase(
  url: string,
  { maxConnections = 10, longestSilenceMs = 30_000 }: { maxConnections?: number; longestSilenceMs?: number } = {},
): DatabaseConnection {
  const options = {
    onnotice: () => {},
    // A process that is frozen inside a transaction would keep its locks from all others, and the feed of events waiting.
    // What nobody waits for any more after the longest silence, the server does not go on with either.
    connection: {
      application_name: 'holdfast',
      idle_in_transaction_session_timeout: 5_000,
      statement_timeout: 25_000,
    },
  }
  const pool = openPool(url, options, { size: maxConnections, longestSilenceMs })
  return {
    database: drizzle({ client: pool.client, casing: 'snake_case' }),
    [Symbol.asyncDispose]: () => pool[Symbol.asyncDispose](),
  }
}
