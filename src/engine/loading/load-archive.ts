import { Readable } from 'node:stream'
import { useListOf } from '../archive/archive-part.ts'
import type { GrowingArchive } from '../archive/growing-archive.ts'
import type { TocEntry } from '../archive/read-toc.ts'
import type { TableRows } from '../count-rows.ts'
import type { ToolRun } from '../run-tool.ts'
import { type Load, type SharedOut, shareOut } from './share-out.ts'

/** What a run of pg_restore is given of an archive. */
export type LoadRun = Pick<ToolRun, 'stdin' | 'archiveFile' | 'useList' | 'signal' | 'onInput'> & { jobs: number }

export interface Loading {
  /** How many connections work at once. */
  jobs: number
  /** What is restored, in the archive's order. */
  entries: readonly TocEntry[]
  /** Whether pg_dump compressed the data. */
  isCompressed: boolean
  /** How much space the tables took when they were dumped, as far as that is known. */
  tables: readonly Pick<TableRows, 'schema' | 'name' | 'bytes'>[]
  signal: AbortSignal
  /** Runs pg_restore against the database; answers its warnings. */
  restore: (run: LoadRun) => Promise<string[]>
}

/**
 * Restores an archive while it still grows: the structure, then the rows over several connections as they come, and what
 * builds on the rows once all of them are there and known to be those that were backed up. Answers the warnings. When one
 * part fails the others are stopped.
 */
export async function loadArchive(archive: GrowingArchive, loading: Loading): Promise<string[]> {
  const { jobs, entries, isCompressed, signal, restore } = loading
  const { before, loads, after } = shareOut(entries, {
    connections: jobs,
    bytesOf: bytesIn(loading.tables),
    canShare: !isCompressed,
  })
  const warnings = new Set<string>()
  const add = (said: string[]) => said.forEach((warning) => void warnings.add(warning))
  if (before.length > 0) {
    add(await restore({ stdin: Readable.from(archive.head()), useList: useListOf(before), jobs: 1, signal }))
  }
  await loadAll(archive, { ...loading, loads }, add)
  if (after.length > 0) add(await restore({ archiveFile: archive.file.fd, useList: useListOf(after), jobs, signal }))
  return [...warnings]
}

/** How much the rows of an entry took. */
function bytesIn(tables: Loading['tables']): (entry: TocEntry) => number | undefined {
  const named = new Map(tables.map(({ schema, name, bytes }) => [JSON.stringify([schema, name]), bytes]))
  return ({ schema, name }) => named.get(JSON.stringify([schema ?? '', name]))
}

async function loadAll(
  archive: GrowingArchive,
  { loads, restore, signal }: Loading & Pick<SharedOut, 'loads'>,
  add: (warnings: string[]) => void,
): Promise<void> {
  const either = new AbortController()
  const stopper = AbortSignal.any([either.signal, signal])
  const stop = (reason: unknown) => {
    either.abort(reason)
    archive.stop(reason)
  }
  const loaded = loads.map(async (share) => {
    // Piece by piece, one ahead: pg_restore gets each as it was read.
    const stdin = Readable.from(onlyThese(archive, share), { highWaterMark: 1 })
    const useList = useListOf(share.map(({ entry }) => entry))
    add(await restore({ stdin, useList, jobs: 1, signal: stopper }))
  })
  const all = [archive.whole, ...loaded]
  for (const each of all) each.catch(stop)
  await Promise.allSettled(all)
  signal.throwIfAborted()
  // The first that failed is the cause of the others' failures.
  either.signal.throwIfAborted()
}

/** An archive with the same table of contents that holds these data alone. */
async function* onlyThese(archive: GrowingArchive, share: readonly Load[]): AsyncGenerator<Buffer> {
  yield* archive.head()
  for (const { entry, isShared } of share) yield* isShared ? archive.rows(entry.dumpId) : archive.block(entry.dumpId)
}
