import { EngineError } from './engine-error.ts'
import type { DatabaseReport } from './inspect.ts'
import { quoteIdentifier } from './quote.ts'
import type { Session } from './session.ts'
import { refuseProblems } from './target/finding.ts'

/** Every extension of the source that is not among those available, each with the error that a restore would meet. */
export function missingExtensions(
  available: { has(name: string): boolean },
  source: DatabaseReport,
): { name: string; error: EngineError }[] {
  return source.extensions
    .filter(({ name }) => !available.has(name))
    .map(({ name, version }) => {
      const message = `Database ${quoteIdentifier(source.name)} needs extension ${quoteIdentifier(name)} (${version}), which the server does not have.`
      return { name, error: new EngineError('EXTENSION_MISSING', message) }
    })
}

/** Throws EXTENSION_MISSING naming every extension of the source that the server does not have. */
export async function refuseMissingExtensions({ sql }: Session, source: DatabaseReport): Promise<void> {
  const available = await sql<{ name: string }[]>`select name from pg_available_extensions`
  const names = new Set(available.map(({ name }) => name))
  refuseProblems(missingExtensions(names, source).map(({ error }) => error))
}

/** A role that is needed for a purpose, told as the error ROLE_MISSING. */
export function whyMissingRole(role: string, purpose: string): EngineError {
  const message = `Role ${quoteIdentifier(role)} does not exist on the server; it is needed to ${purpose}.`
  return new EngineError('ROLE_MISSING', message)
}

/**
 * A role that the own one would have to be a member of, told as the error PERMISSION_DENIED; its details are the cure.
 * `isMember`: it is one, and may not act as the other (WITH SET FALSE).
 */
export function whyForeignOwner(self: string, owner: string, purpose: string, isMember = false): EngineError {
  const asWhat = isMember
    ? `a member of ${quoteIdentifier(owner)} WITH SET TRUE`
    : `a member of ${quoteIdentifier(owner)}`
  return new EngineError(
    'PERMISSION_DENIED',
    `Role ${quoteIdentifier(self)} must be ${asWhat} to ${purpose}.`,
    `GRANT ${quoteIdentifier(owner)} TO ${quoteIdentifier(self)}${isMember ? ' WITH SET TRUE' : ''}`,
  )
}

/** Throws ROLE_MISSING or PERMISSION_DENIED unless the session's role may act as the owner; `purpose` says for what. */
export async function refuseForeignOwner(
  { sql, versionNumber }: Session,
  owner: string,
  purpose: string,
): Promise<void> {
  const become = versionNumber >= 160_000 ? 'SET' : 'MEMBER'
  const [row] = await sql<{ hasRights: boolean; mayBecome: boolean; self: string }[]>`
    select pg_has_role(r.oid, 'USAGE') as "hasRights", pg_has_role(r.oid, ${become}) as "mayBecome", current_user as self
    from pg_roles r where r.rolname = ${owner}`
  if (!row) throw whyMissingRole(owner, purpose)
  if (!row.hasRights || !row.mayBecome) throw whyForeignOwner(row.self, owner, purpose, row.hasRights)
}
