import type postgres from 'postgres'
import type { ServerAddress } from './address.ts'
import { asEngineError } from './classify.ts'
import { quoteIdentifier } from './quote.ts'
import { openSession } from './session.ts'

/** What a query came to: an answer, or the reason why it has none. */
export type AssertionAnswer = { holds: boolean } | { unusable: string }

/**
 * Asks a database one question that answers one row with one boolean, in a transaction that can change nothing and within
 * a time. A query that cannot be parsed, fails, takes too long or answers anything else has no answer; throws an
 * EngineError only when the server itself cannot be asked.
 */
export async function askAssertion(
  address: ServerAddress,
  database: string,
  { query, timeoutMs, signal }: { query: string; timeoutMs: number; signal: AbortSignal },
): Promise<AssertionAnswer> {
  await using session = await openSession(address, database, { signal })
  const { sql } = session
  try {
    await sql.unsafe('begin transaction isolation level repeatable read, read only')
    await sql.unsafe(`set local statement_timeout = ${Math.trunc(timeoutMs)}`)
    // Operators name their tables as applications do.
    await sql.unsafe('set local search_path to default')
    // Not by the simple protocol, which would take several statements: one of them could end the transaction.
    const oneStatement = { prepare: false, simple: false }
    return answerIn(await sql.unsafe<Record<string, unknown>[]>(query, [], oneStatement))
  } catch (error) {
    signal.throwIfAborted()
    if (session.lost.aborted) throw session.lost.reason
    const failure = asEngineError(error, `Asking database ${quoteIdentifier(database)}`)
    if (isOfTheServer(error)) throw failure
    return { unusable: failure.details.split('\n')[0] ?? failure.message }
  }
}

function answerIn(rows: postgres.RowList<Record<string, unknown>[]>): AssertionAnswer {
  const [row, ...others] = rows
  if (!row || others.length > 0) return { unusable: `it answered ${rows.length} rows instead of one` }
  // Columns of the same name share one place in a row.
  const columns = rows.columns.length
  if (columns !== 1) return { unusable: `it answered ${columns} columns instead of one` }
  const [value] = Object.values(row)
  if (typeof value !== 'boolean') return { unusable: `it answered ${value === null ? 'null' : 'no boolean'}` }
  return { holds: value }
}

/** Out of memory or disk, or shutting down: a query that took too long (57014) is the query's own doing. */
function isOfTheServer(error: unknown): boolean {
  const code = error instanceof Error && 'code' in error ? String(error.code) : ''
  return (
    code.startsWith('53') ||
    code.startsWith('58') ||
    (code.startsWith('57') && code !== '57014') ||
    !/^[A-Z0-9]{5}$/.test(code)
  )
}
