import { asEngineError } from './classify.ts'
import type { DatabaseGrant, DatabaseReport } from './inspect.ts'
import { quoteIdentifier, quoteLiteral } from './quote.ts'
import type { Session } from './session.ts'

/** What belongs to a database itself and is in no archive of its contents. */
export type DatabaseProperties = Pick<DatabaseReport, 'comment' | 'connectionLimit' | 'settings'> &
  Partial<Pick<DatabaseReport, 'ownerName' | 'acl'>>

// PostgreSQL keeps these as lists of quoted names: as one literal they would become a single name.
const listSettings = new Set([
  'local_preload_libraries',
  'search_path',
  'session_preload_libraries',
  'shared_preload_libraries',
  'temp_tablespaces',
  'unix_socket_directories',
])

/**
 * Gives a database its comment, limit, settings and, where they are given, owner and grants; without grants everyone may
 * connect, as is PostgreSQL's default. What cannot be applied is answered as a sentence each; the rest is applied.
 */
export async function applyProperties(
  { sql }: Session,
  name: string,
  { comment, connectionLimit, settings, ownerName, acl }: DatabaseProperties,
): Promise<string[]> {
  const database = quoteIdentifier(name)
  const notApplied: string[] = []
  const apply = async (what: string, statement: string) => {
    await sql.unsafe(statement).catch((error) => notApplied.push(sentence(what, error)))
  }
  if (comment !== null) await apply('The comment', `comment on database ${database} is ${quoteLiteral(comment)}`)
  if (connectionLimit >= 0) {
    await apply('The connection limit', `alter database ${database} connection limit ${Math.trunc(connectionLimit)}`)
  }
  for (const { role, name: setting, value } of settings) {
    const assignment = `set ${quoteIdentifier(setting)} to ${settingValue(setting, value)}`
    await (role === null
      ? apply(`The setting ${setting}`, `alter database ${database} ${assignment}`)
      : apply(
          `The setting ${setting} of role ${quoteIdentifier(role)}`,
          `alter role ${quoteIdentifier(role)} in database ${database} ${assignment}`,
        ))
  }
  if (acl) notApplied.push(...(await applyGrants({ sql }, name, acl)))
  else await sql.unsafe(`grant connect, temporary on database ${database} to public`)
  if (ownerName !== undefined) await sql.unsafe(`alter database ${database} owner to ${quoteIdentifier(ownerName)}`)
  return notApplied
}

/** Grants what is listed on a database; what cannot be granted is answered as a sentence each. */
export async function applyGrants(
  { sql }: Pick<Session, 'sql'>,
  name: string,
  grants: readonly DatabaseGrant[],
): Promise<string[]> {
  const notApplied: string[] = []
  for (const { grantee, privilege, isGrantable } of grants) {
    const to = grantee === null ? 'public' : quoteIdentifier(grantee)
    const option = isGrantable ? ' with grant option' : ''
    const statement = `grant ${privilege} on database ${quoteIdentifier(name)} to ${to}${option}`
    await sql.unsafe(statement).catch((error) => notApplied.push(sentence(`${privilege} for ${to}`, error)))
  }
  return notApplied
}

/** A setting's stored value as SQL for SET. */
export function settingValue(setting: string, value: string): string {
  if (!listSettings.has(setting.toLowerCase())) return quoteLiteral(value)
  const names = [...value.matchAll(/"((?:[^"]|"")*)"|[^\s,]+/g)]
  return names.map(([plain, quoted]) => quoteLiteral(quoted?.replaceAll('""', '"') ?? plain)).join(', ') || "''"
}

function sentence(what: string, error: unknown): string {
  return `${what} was not applied: ${asEngineError(error, what).details}.`
}
