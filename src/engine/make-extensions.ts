import type { DatabaseReport } from './inspect.ts'
import { quoteIdentifier } from './quote.ts'
import type { Session } from './session.ts'

/**
 * Makes those of some extensions that only a superuser may make, before a lesser role restores what needs them; schemas
 * that they need are made for that role. Answers what it made.
 */
export async function makeSuperuserExtensions(
  { sql }: Session,
  extensions: DatabaseReport['extensions'],
  owner: string,
): Promise<{ schemas: Set<string>; extensions: Set<string> }> {
  const made = { schemas: new Set<string>(), extensions: new Set<string>() }
  const available = await sql<{ name: string }[]>`
    select distinct v.name from pg_available_extension_versions v
    where v.superuser and not coalesce((to_jsonb(v) ->> 'trusted')::boolean, false)`
  const forSuperusers = new Set(available.map(({ name }) => name))
  const present = await sql<{ name: string }[]>`select nspname as name from pg_namespace`
  const schemas = new Set(present.map(({ name }) => name))
  for (const { name, schema } of extensions.filter((each) => forSuperusers.has(each.name))) {
    if (!schemas.has(schema)) {
      await sql.unsafe(`create schema ${quoteIdentifier(schema)} authorization ${quoteIdentifier(owner)}`)
      schemas.add(schema)
      made.schemas.add(schema)
    }
    await sql.unsafe(
      `create extension if not exists ${quoteIdentifier(name)} with schema ${quoteIdentifier(schema)} cascade`,
    )
    made.extensions.add(name)
  }
  return made
}
