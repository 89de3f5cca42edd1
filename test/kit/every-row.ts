import { sql } from 'drizzle-orm'
import type { Database } from '../../src/database/connect.ts'

/** All that the metadata database holds, as text to search in. */
export async function everyRow(database: Database): Promise<string> {
  const tables = await database.execute<{ name: string }>(
    sql`select quote_ident(table_name) as name from information_schema.tables where table_schema = 'public'`,
  )
  const texts: string[] = []
  for (const { name } of tables) {
    texts.push(JSON.stringify(await database.execute(sql.raw(`select to_jsonb(t) from ${name} t`))))
  }
  return texts.join('\n')
}
