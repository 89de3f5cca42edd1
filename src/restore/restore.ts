/** One database of a recovery point, and the name it gets on the target server. */
export interface DatabaseMapping {
  name: string
  targetName: string
}

/** What a restore job was asked to do. */
export type RestoreRequest =
  | { kind: 'FILES'; directory: string; databases: string[] }
  | { kind: 'SERVER'; serverId: string; ownership: 'KEEP' | 'NONE'; databases: DatabaseMapping[] }

/** What a finished restore brought back. */
export interface RestoreReport {
  destination: string
  databases: { name: string; targetName: string; tableCount: number; rowCount: number }[]
  files: { name: string; sizeBytes: number }[]
  /** Roles that the target server lacked and that were created, without passwords. */
  rolesCreated: string[]
}

/** The request a restore job carries; throws when the job is not a restore. */
export function restoreRequestOf(job: { operation: string; input: unknown }): RestoreRequest {
  if (job.operation !== 'RESTORE') throw new Error(`A ${job.operation} job carries no restore request.`)
  // Written by this room only, in the transaction that made the job.
  return job.input as RestoreRequest
}

/** The report of a restore job that completed; null for every other job. */
export function restoreReportOf(job: { operation: string; result: unknown }): RestoreReport | null {
  // Written by the restore handlers only, when they settle.
  return job.operation === 'RESTORE' ? ((job.result as RestoreReport | null) ?? null) : null
}
