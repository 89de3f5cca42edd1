import { type SQL, sql } from 'drizzle-orm'

/** The ids as rows named `wanted`, each once: what a lateral query of one page per parent is joined to. Not for no ids. */
export function wanted(ids: readonly string[]): SQL {
  const each = [...new Set(ids)].map((id) => sql`${id}::uuid`)
  return sql`unnest(array[${sql.join(each, sql`, `)}]) as wanted (id)`
}

/** The id of the parent that a lateral query is asked for. */
export const wantedId: SQL = sql`wanted.id`
