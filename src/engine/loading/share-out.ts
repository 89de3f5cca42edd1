import type { TocEntry } from '../archive/read-toc.ts'

/** The rows of a table, or other data, that a connection loads. */
export interface Load {
  entry: TocEntry
  /** Others load the same table: each takes the rows that come next. */
  isShared: boolean
}

export interface SharedOut {
  /** What has to be there before any row is. */
  before: TocEntry[]
  /** What each connection loads, in the archive's order; none when there are no data. */
  loads: Load[][]
  /** What is made once all rows are there: indexes, constraints, triggers, grants, comments. */
  after: TocEntry[]
}

export interface SharingOut {
  /** How many connections load. */
  connections: number
  /** How much an entry's rows take, in bytes; undefined where nobody knows. */
  bytesOf: (entry: TocEntry) => number | undefined
  /** Whether rows of one table can be told apart. */
  canShare: boolean
}

/** What of a table is worth a share of another connection. */
const leastSharedBytes = 16 * 1024 * 1024

/**
 * Shares an archive's entries out: structure first, then the data over several connections so that all are done at about
 * the same time (a big table is loaded by all of them), then the rest. Within each the archive's order is kept.
 */
export function shareOut(entries: readonly TocEntry[], { connections, bytesOf, canShare }: SharingOut): SharedOut {
  const data = entries.filter(({ hasData }) => hasData)
  const isShared = (entry: TocEntry) =>
    canShare && connections > 1 && entry.kind === 'TABLE DATA' && (bytesOf(entry) ?? 0) >= leastSharedBytes
  const shared = new Set(data.filter(isShared))
  const own = Array.from({ length: connections }, () => new Set<TocEntry>())
  const burdens = own.map((set) => ({ set, bytes: 0 }))
  const byBytes = data.filter((entry) => !shared.has(entry)).toSorted((one, other) => weight(other) - weight(one))
  for (const entry of byBytes) {
    const lightest = burdens.reduce((least, each) => (each.bytes < least.bytes ? each : least))
    lightest.set.add(entry)
    lightest.bytes += weight(entry)
  }
  const loads = own.map((set) =>
    data.flatMap((entry) => (shared.has(entry) || set.has(entry) ? [{ entry, isShared: shared.has(entry) }] : [])),
  )
  return {
    before: entries.filter((entry) => !entry.hasData && isBefore(entry)),
    loads: loads.filter((each) => each.length > 0),
    after: entries.filter((entry) => !entry.hasData && !isBefore(entry)),
  }

  /** An empty table costs a statement, too. */
  function weight(entry: TocEntry): number {
    return (bytesOf(entry) ?? 0) + 8192
  }
}

/** Large objects have to be there before their bytes come: from 17 on pg_dump tells of them among the data. */
function isBefore({ kind, section }: TocEntry): boolean {
  return section === 'PRE_DATA' || kind === 'BLOB METADATA'
}
