import type { JobRow } from '../../job/states.ts'

/** What a job that imports was asked to do. */
export interface ImportRequest {
  /** Whether every point that is made known is read back from the vault, byte by byte. */
  readBack: boolean
  /** Nothing is recorded: the report says what would be. */
  dryRun: boolean
}

/** A folder of the vault that is no recovery point that could be made known. */
export interface UnreadableFolder {
  folder: string
  reason: string
}

/** What a job that imports found, and made known. */
export interface ImportReport {
  vaultId: string
  vaultName: string
  dryRun: boolean
  pointsImported: number
  alreadyKnown: number
  /** Of those that were known: around how many manifests rotations had wrapped keys of which the catalogue knew nothing. */
  manifestsTakenOver: number
  pointsReadBack: number
  pointsDamaged: number
  /** Names of what was added to the catalogue. */
  instances: string[]
  servers: string[]
  /** How many there are in all; the first thousand are listed. */
  unreadableCount: number
  unreadable: UnreadableFolder[]
}

/** The request that an import carries. Throws for any other job. */
export function importRequestOf({ operation, input }: Pick<JobRow, 'operation' | 'input'>): ImportRequest {
  if (operation !== 'IMPORT_VAULT') throw new Error(`A ${operation} job carries no request to import.`)
  // Written by this room only, in the transaction that made the job.
  return input as ImportRequest
}

/** What an import found and made known; null until it has completed, and for any other job. */
export function importReportOf({ operation, result }: Pick<JobRow, 'operation' | 'result'>): ImportReport | null {
  // Written by the worker's handler of this operation only.
  return operation === 'IMPORT_VAULT' ? ((result as ImportReport | null) ?? null) : null
}
