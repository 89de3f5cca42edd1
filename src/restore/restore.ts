/** One database of a recovery point, and the name it gets on the target server. */
export interface DatabaseMapping {
  name: string
  targetName: string
}

/** What is restored of one database alone: whole schemas, and tables by name. At least one of either. */
export interface RestorePart {
  /** The database of the recovery point. */
  database: string
  schemas: string[]
  tables: { schema: string; name: string }[]
}

/** Where the files of a restore go: a directory on the worker's machine, or a folder of a storage account's container. */
export type FilesTarget =
  | { kind: 'DIRECTORY'; path: string }
  | {
      kind: 'CONTAINER'
      containerId: string /** A folder in the container, such as "orders/2026-11-28". */
      folder: string
    }

/** CUSTOM: archives that pg_restore reads. PLAIN: SQL that psql reads. */
export type ArchiveFormat = 'CUSTOM' | 'PLAIN'

/** KEEP: owners and grants as they were. TO_ROLE: all belongs to one role. NONE: all belongs to the role that restores. */
export type Ownership = { kind: 'KEEP' } | { kind: 'TO_ROLE'; role: string } | { kind: 'NONE' }

export interface FilesRequest {
  kind: 'FILES'
  target: FilesTarget
  format: ArchiveFormat
  databases: string[]
  /** Null: the databases whole. Else `databases` names its database alone. */
  part: RestorePart | null
}

export interface ServerRequest {
  kind: 'SERVER'
  serverId: string
  ownership: Ownership
  databases: DatabaseMapping[]
  /** Of a request for all databases, those that stay out because they hold nothing. */
  leftOut?: string[]
  /** Likewise, those without a table of which version 0.3 and older did not look whether they hold anything else. */
  leftOutUnseen?: string[]
  /** Null: the databases whole. Else `databases` maps its database alone. */
  part: RestorePart | null
}

/** What a restore job, or the validation of one, was asked to do. */
export type RestoreRequest = FilesRequest | ServerRequest

/** One way in which what was restored is not what was backed up. */
export interface RestoreDifference {
  /** The database's name in the recovery point. */
  database: string
  /** The table's quoted name, or "large objects". */
  subject: string
  /** How many rows, or large objects, the backup counted; null when it held no such table. */
  expected: number | null
  /** How many there are; null when there is no such table. */
  actual: number | null
  message: string
}

/** What a restore brought back, or would have, had its rows been those of the backup. */
export interface RestoreReport {
  destination: string
  databases: { name: string; targetName: string; tableCount: number; rowCount: number }[]
  files: { name: string; sizeBytes: number }[]
  /** Roles that the target server lacked and that were created, without passwords. */
  rolesCreated: string[]
  /** Left out by restores as files, as are the warnings, and by version 0.2, as are the two after it. Any makes a restore fail. */
  differences?: RestoreDifference[]
  /** What was not restored or applied, as a sentence each: of roles, of databases, of a part. */
  omitted?: string[]
  /** What pg_restore warned of, and what lies elsewhere than it did. */
  warnings?: string[]
}

/** The request a restore job, or the validation of one, carries; throws for any other job. */
export function restoreRequestOf(job: { operation: string; input: unknown }): RestoreRequest {
  if (job.operation !== 'RESTORE' && job.operation !== 'VALIDATE_RESTORE') {
    throw new Error(`A ${job.operation} job carries no restore request.`)
  }
  // Written by this room only, in the transaction that made the job: in the first of these shapes by version 0.2 and older.
  const input = job.input as RestoreRequest | FirstRequest
  if (input.kind === 'FILES') {
    return 'target' in input
      ? input
      : { kind: 'FILES', target: directory(input.directory), format: 'CUSTOM', databases: input.databases, part: null }
  }
  return typeof input.ownership === 'string'
    ? { ...input, ownership: { kind: input.ownership }, part: null }
    : (input as ServerRequest)
}

/** What version 0.2 wrote. */
type FirstRequest =
  | { kind: 'FILES'; directory: string; databases: string[] }
  | { kind: 'SERVER'; serverId: string; ownership: 'KEEP' | 'NONE'; databases: DatabaseMapping[] }

function directory(path: string): FilesTarget {
  return { kind: 'DIRECTORY', path }
}

/** The report of a restore job that completed, or that failed because rows differ; null for every other job. */
export function restoreReportOf(job: { operation: string; result: unknown }): RestoreReport | null {
  // Written by the restore handlers only, when they settle.
  return job.operation === 'RESTORE' ? ((job.result as RestoreReport | null) ?? null) : null
}
