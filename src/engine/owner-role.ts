import { EngineError } from './engine-error.ts'
import { quoteIdentifier } from './quote.ts'
import type { Session } from './session.ts'

/** A role that everything restored is to belong to. */
export interface OwnerRole {
  name: string
  isSuperuser: boolean
}

/** The role, if the session's own may act as it. Throws ROLE_MISSING or PERMISSION_DENIED, with the statement that cures it. */
export async function requireOwnerRole({ sql, versionNumber }: Session, name: string): Promise<OwnerRole> {
  const right = versionNumber >= 160_000 ? 'SET' : 'MEMBER'
  const [row] = await sql<{ maySet: boolean; isSuperuser: boolean; self: string }[]>`
    select pg_has_role(r.oid, ${right}) as "maySet", r.rolsuper as "isSuperuser", current_user as self
    from pg_roles r where r.rolname = ${name}`
  if (!row) throw whyNoOwnerRole(name)
  if (!row.maySet) throw whyForeignOwnerRole(row.self, name)
  return { name, isSuperuser: row.isSuperuser }
}

/** A role that everything is to belong to is not there; the details are the cure. */
export function whyNoOwnerRole(name: string): EngineError {
  const message = `Role ${quoteIdentifier(name)}, which everything is to belong to, does not exist on the server.`
  return new EngineError('ROLE_MISSING', message, `CREATE ROLE ${quoteIdentifier(name)}`)
}

/** The own role may not act as the one that everything is to belong to; the details are the cure. */
export function whyForeignOwnerRole(self: string, name: string): EngineError {
  return new EngineError(
    'PERMISSION_DENIED',
    `Role ${quoteIdentifier(self)} must be a member of ${quoteIdentifier(name)} to restore to its name.`,
    `GRANT ${quoteIdentifier(name)} TO ${quoteIdentifier(self)}`,
  )
}
