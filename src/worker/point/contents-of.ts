import type { PointFacts } from '../../recovery-point/contents/contents.ts'
import type { Manifest } from './manifest.ts'

/** What a manifest says that its point holds: what the catalogue remembers of it. No setting, comment or grant is in it. */
export function contentsOf({ databases, roles }: Pick<Manifest, 'databases' | 'roles'>): PointFacts {
  return {
    databases: databases.map(({ report, tables, schemas, partitionedTables }) => ({
      name: report.name,
      sourceBytes: report.sizeBytes,
      ownerName: report.ownerName,
      encoding: report.encoding,
      localeProvider: report.localeProvider,
      collate: report.collate,
      ctype: report.ctype,
      locale: report.locale,
      extensions: report.extensions,
      tables,
      schemas,
      partitionedTables,
    })),
    roles: roles.map(({ memberships, comment: _comment, settings: _settings, ...role }) => ({
      ...role,
      memberOf: memberships.map((membership) => membership.role),
    })),
  }
}
