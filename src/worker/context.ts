import type { Logger } from 'pino'
import type { Database } from '../database/connect.ts'
import type { Handler } from '../job/handler.ts'
import type { SecretBox } from '../secret/secret-box.ts'
import { failureFrom } from './failure.ts'
import { tellOfEnd } from './tell.ts'

/** Where Holdfast's own metadata is, and how it is backed up. */
export interface MetadataSource {
  /** Holds a password: keep it out of every log and error. */
  url: string
  /** The file that opens the secrets in it, to be part of every copy; null: it is left out. */
  keyFile: string | null
  /** How old the newest copy in a vault may become, ms. */
  everyMs: number
}

/** What every handler works with. */
export interface WorkerContext {
  database: Database
  secrets: SecretBox
  /** Folders searched for PostgreSQL's programs before the usual ones. */
  postgresDirectories: string[]
  lockWaitMs: number
  jobCeilingMs: number
  noProgressMs: number
  /** The database's time, as it was measured last: for what is written down. */
  now: () => Date
  /** The moment that decides: the database's clock, so that all workers agree. Inside a transaction, ask on that. */
  dueNow: (tx?: Database) => Promise<Date>
  /** The clock of the worker's own machine: only to see whether it agrees with the database's. */
  machineNow: () => Date
  /** How long a point that was chosen for removal is left before its bytes go, ms. */
  removalGraceMs: number
  /** What the backup of the metadata itself needs. */
  metadata: MetadataSource
  /** Where scratch servers live while a proof restores into them; this machine's workers alone use it. */
  scratchDirectory: string
  /** Where the embedded metadata database lives; left out where it is another server's. */
  embeddedDirectory?: string
  /** Connections that one restore into a server loads its data over. */
  restoreJobs: number
  /** Where archives lie unpacked while they are restored over several connections. */
  spoolDirectory: string
  log: Logger
}

/** What all handlers share: how a throw is told, who is told of the end, and the worker's limits. */
export function handlerDefaults(
  context: WorkerContext,
): Pick<Handler, 'failure' | 'recordEnd' | 'ceilingMs' | 'stallMs'> {
  return {
    failure: (cause) => failureFrom(cause, context.log),
    recordEnd: (tx, job) => tellOfEnd(tx, job, context.now()),
    ceilingMs: context.jobCeilingMs,
    stallMs: context.noProgressMs,
  }
}
