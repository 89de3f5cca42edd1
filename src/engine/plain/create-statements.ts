import { createStatement } from '../create-database.ts'
import { settingValue } from '../database-properties.ts'
import type { DatabaseReport } from '../inspect.ts'
import { isManagedRole } from '../managed-roles.ts'
import { quoteIdentifier, quoteLiteral } from '../quote.ts'

/**
 * SQL that creates an empty database as the source had it: how it stores and sorts text, its owner, grants, settings and
 * comment; what names a role of a managed service is left out. `versionNumber` is the source's: a server that is older may
 * not take it.
 */
export function createStatements(report: DatabaseReport, versionNumber: number): string {
  const database = quoteIdentifier(report.name)
  const isPlain = (role: string | null) => role === null || !isManagedRole(role)
  const statements = [createStatement(report.name, report, versionNumber)]
  if (report.acl) {
    statements.push(`revoke all on database ${database} from public`)
    for (const { grantee, privilege, isGrantable } of report.acl.filter((grant) => isPlain(grant.grantee))) {
      const to = grantee === null ? 'public' : quoteIdentifier(grantee)
      statements.push(`grant ${privilege} on database ${database} to ${to}${isGrantable ? ' with grant option' : ''}`)
    }
  }
  if (report.connectionLimit >= 0) {
    statements.push(`alter database ${database} connection limit ${Math.trunc(report.connectionLimit)}`)
  }
  if (report.comment !== null) statements.push(`comment on database ${database} is ${quoteLiteral(report.comment)}`)
  for (const { role, name, value } of report.settings.filter((setting) => isPlain(setting.role))) {
    const whose =
      role === null ? `alter database ${database}` : `alter role ${quoteIdentifier(role)} in database ${database}`
    statements.push(`${whose} set ${quoteIdentifier(name)} to ${settingValue(name, value)}`)
  }
  if (isPlain(report.ownerName)) {
    statements.push(`alter database ${database} owner to ${quoteIdentifier(report.ownerName)}`)
  }
  return statements.map((statement) => `${statement};\n`).join('')
}
