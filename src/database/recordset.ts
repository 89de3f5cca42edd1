import { type SQL, sql } from 'drizzle-orm'
import type { PgTable } from 'drizzle-orm/pg-core'

/**
 * Many rows of a table as one parameter, for "insert … select … from" and "update … from": a statement with a parameter for
 * each of thousands of values takes far longer to write than to perform. The rows are named as the table's columns are.
 */
export function recordset(table: PgTable, rows: readonly Record<string, unknown>[]): SQL {
  const text = JSON.stringify(rows, (_name, value) => (typeof value === 'bigint' ? String(value) : value))
  return sql`jsonb_populate_recordset(null::${table}, ${text}::text::jsonb)`
}
