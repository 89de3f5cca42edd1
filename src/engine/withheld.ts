import type { RoleReport } from './inspect.ts'
import { quoteIdentifier } from './quote.ts'
import type { Session } from './session.ts'

/** What a server lets nobody past, as far as giving roles their rights is concerned. */
export interface Guards {
  versionNumber: number
  /** Roles of the server with a right that no role gets by being created: whoever is a member of one has it too. */
  guardedRoles: ReadonlySet<string>
}

/** A right that a role is not given when it is created, and the statement that gives it. */
export interface Withheld {
  what: string
  cure: string
}

/**
 * What no role gets by being created: without a password yet, it may be let in by whoever is trusted by the server. That
 * is what goes past the server's own guards, be it an attribute of its own or one of a role that it is a member of.
 */
export function withheldFrom(role: RoleReport, { versionNumber, guardedRoles }: Guards): Withheld[] {
  const name = quoteIdentifier(role.name)
  const attributes: readonly (readonly [attribute: string, isWanted: boolean])[] = [
    ['SUPERUSER', role.isSuperuser],
    ['REPLICATION', role.isReplication],
    ['BYPASSRLS', role.bypassesRowSecurity],
    ['CREATEROLE', role.createsRoles && isAllPowerful(versionNumber)],
  ]
  const memberships = role.memberships.filter((membership) => guardedRoles.has(membership.role))
  return [
    ...attributes
      .filter(([, isWanted]) => isWanted)
      .map(([attribute]) => ({ what: attribute, cure: `ALTER ROLE ${name} ${attribute}` })),
    ...memberships.map((membership) => {
      const granted = quoteIdentifier(membership.role)
      const option = membership.isAdmin ? ' WITH ADMIN OPTION' : ''
      return { what: `membership in ${granted}`, cure: `GRANT ${granted} TO ${name}${option}` }
    }),
  ]
}

/** Before PostgreSQL 16 a role with CREATEROLE may join any but a superuser's: those that run programs and write files, too. */
function isAllPowerful(versionNumber: number): boolean {
  return versionNumber < 160_000
}

/** The roles of a server whose members have, or can take up, a right that is withheld from roles. */
export async function findGuardedRoles({ sql, versionNumber }: Session): Promise<Set<string>> {
  const rows = await sql<{ name: string }[]>`
    select r.rolname as name from pg_roles r
    where exists (select from pg_roles g
      where (g.rolsuper or g.rolreplication or g.rolbypassrls or (g.rolcreaterole and ${isAllPowerful(versionNumber)})
          or g.rolname in ('pg_execute_server_program', 'pg_read_server_files', 'pg_write_server_files'))
        and pg_has_role(r.oid, g.oid, 'MEMBER'))`
  return new Set(rows.map(({ name }) => name))
}
