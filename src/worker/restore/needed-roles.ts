import type { RoleReport } from '../../engine/inspect.ts'
import type { ServerRequest } from '../../restore/restore.ts'
import type { Manifest } from '../point/manifest.ts'

/**
 * The roles that what is restored needs to keep its owners and grants: those of the chosen databases and of what is in
 * them, and the roles that these are members of. All of the source where the manifest does not tell, as that of version
 * 0.3 and older.
 */
export function neededRoles(
  { databases, roles }: Pick<Manifest, 'databases' | 'roles'>,
  request: Pick<ServerRequest, 'databases'>,
): RoleReport[] {
  const chosen = new Set(request.databases.map(({ name }) => name))
  const needed = new Set<string | null>()
  for (const { report, roles: named } of databases.filter((database) => chosen.has(database.report.name))) {
    if (!named) return roles
    const grantees = report.acl?.map(({ grantee }) => grantee) ?? []
    for (const name of [report.ownerName, ...grantees, ...report.settings.map(({ role }) => role), ...named]) {
      needed.add(name)
    }
  }
  const byName = new Map(roles.map((role) => [role.name, role]))
  // Grows while it is gone through: a role that is met only as another's is needed with its own.
  for (const name of needed) {
    for (const { role } of byName.get(name ?? '')?.memberships ?? []) needed.add(role)
  }
  return roles.filter(({ name }) => needed.has(name))
}
