import { Readable } from 'node:stream'
import type { WantedPart } from '../archive/archive-part.ts'
import type { GrowingArchive } from '../archive/growing-archive.ts'
import type { TableRows } from '../count-rows.ts'
import type { Toolset } from '../find-tools.ts'
import type { DatabaseReport } from '../inspect.ts'

/** An archive that comes into a file of this machine: several connections restore from it at once. */
export interface SpooledArchive {
  archive: GrowingArchive
  /** How many connections. */
  jobs: number
  /** How much space its tables took when they were dumped, as far as that is known. */
  tables: readonly Pick<TableRows, 'schema' | 'name' | 'bytes'>[]
}

/** Who owns what is restored: its owners of old, with their grants; one role; or the role that restores. */
export type RestoredOwnership = 'KEEP' | 'NONE' | { role: string }

export interface Filling {
  /** What dumpDatabase wrote. A stream is read to its end. */
  archive: Readable | SpooledArchive
  /** The database as it was when it was dumped. */
  source: DatabaseReport
  tools: Toolset
  ownership: RestoredOwnership
  /** What is restored of the database alone; all of it when left out. */
  part?: WantedPart | undefined
  signal: AbortSignal
  /** Hears of every piece of a stream that pg_restore takes. */
  onBytes?: ((bytes: number) => void) | undefined
}

/** Whether an archive comes once, from its beginning to its end. */
export function isStream(archive: Readable | SpooledArchive): archive is Readable {
  return archive instanceof Readable
}
