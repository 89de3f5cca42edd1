import type { DatabaseReport, RoleReport } from '../inspect.ts'

/** One database that is to be restored. */
export interface PlannedDatabase {
  /** As it was when it was dumped; null when that could not be read. */
  source: DatabaseReport | null
  targetName: string
  tableCount: number
}

/** What is to be restored into a server. */
export interface RestorePlan {
  databases: readonly PlannedDatabase[]
  /** The roles of the source that what is restored needs; empty when they could not be read. */
  roles: readonly RoleReport[]
  /** KEEP: owners and grants as they were; TO_ROLE: all belongs to one role; NONE: to the role that restores. */
  ownership: { kind: 'KEEP' } | { kind: 'TO_ROLE'; role: string } | { kind: 'NONE' }
  /** server_version_num of the source; null when it could not be read. */
  sourceVersionNumber: number | null
  /** How many connections the restore opens at once. */
  connectionCount: number
  /** Names the attempt in the name of a database that is made to try a locale. */
  token: string
}

/** The databases whose source is known. */
export function knownSources({ databases }: RestorePlan): DatabaseReport[] {
  return databases.flatMap(({ source }) => source ?? [])
}
