import { EngineError } from './engine-error.ts'
import type { DatabaseReport } from './inspect.ts'
import { quoteIdentifier } from './quote.ts'
import type { Session } from './session.ts'

/** Throws EXTENSION_MISSING naming every extension of the source that the server does not have. */
export async function refuseMissingExtensions({ sql }: Session, source: DatabaseReport): Promise<void> {
  const available = await sql<{ name: string }[]>`select name from pg_available_extensions`
  const names = new Set(available.map(({ name }) => name))
  const missing = source.extensions.filter(({ name }) => !names.has(name))
  if (missing.length === 0) return
  const list = missing.map(({ name, version }) => `${quoteIdentifier(name)} (${version})`).join(', ')
  throw new EngineError(
    'EXTENSION_MISSING',
    `Database ${quoteIdentifier(source.name)} needs extensions that the server does not have: ${list}.`,
  )
}

/** Throws ROLE_MISSING or PERMISSION_DENIED unless the session's role may act as the owner; `purpose` says for what. */
export async function refuseForeignOwner({ sql }: Session, owner: string, purpose: string): Promise<void> {
  const [row] = await sql<{ mayAct: boolean; self: string }[]>`
    select pg_has_role(r.oid, 'USAGE') as "mayAct", current_user as self from pg_roles r where r.rolname = ${owner}`
  if (!row) {
    const message = `Role ${quoteIdentifier(owner)} does not exist on the server; it is needed to ${purpose}.`
    throw new EngineError('ROLE_MISSING', message)
  }
  if (row.mayAct) return
  throw new EngineError(
    'PERMISSION_DENIED',
    `Role ${quoteIdentifier(row.self)} must be a member of ${quoteIdentifier(owner)} to ${purpose}.`,
    `GRANT ${quoteIdentifier(owner)} TO ${quoteIdentifier(row.self)}`,
  )
}
