import { sql } from 'drizzle-orm'
import type { Database } from './connect.ts'

/** The database's clock, cut to the milliseconds that are stored: the same for every process that asks. */
export async function databaseTime(database: Database): Promise<Date> {
  const [row] = await database.execute<{ at: string }>(
    sql`select to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') as at`,
  )
  if (!row) throw new Error('The database did not tell its time.')
  return new Date(row.at)
}
