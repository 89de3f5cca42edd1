import { setTimeout as delay } from 'node:timers/promises'
import type { ServerAddress } from './address.ts'
import { openSession, type Session } from './session.ts'

const pollMs = 2000

interface Work {
  pid: number
  /** Anything that differs when the session has gone on: what it runs since when, and how far it has come. */
  sign: string
  /** It works, and waits for no lock and for nobody. */
  isBusy: boolean
  /** Bytes of rows that the COPY it runs has taken; 0 when it runs none. */
  copiedBytes: number
}

// The views grew with the versions: what a server lacks is not asked for.
const withProgress = `
  select a.pid, concat_ws(' ', a.query_start, a.state, a.wait_event, to_jsonb(c)::text, to_jsonb(i)::text) as sign,
    a.state = 'active' and coalesce(a.wait_event_type, '') not in ('Lock', 'Client') as "isBusy",
    coalesce(c.bytes_processed, 0)::float8 as "copiedBytes"
  from pg_stat_activity a
  left join pg_stat_progress_copy c on c.pid = a.pid left join pg_stat_progress_create_index i on i.pid = a.pid
  where a.datname = $1`
const withoutProgress = `
  select a.pid, concat_ws(' ', a.query_start, a.state, a.wait_event) as sign,
    a.state = 'active' and coalesce(a.wait_event_type, '') not in ('Lock', 'Client') as "isBusy", 0::float8 as "copiedBytes"
  from pg_stat_activity a where a.datname = $1`

/**
 * Watches on a connection of its own how a server works at restoring a database, which may move no byte for hours while
 * it builds an index; `onLife` is called while something goes on. It ends when disposed of, and never throws.
 */
export function watchRestore(
  { address, adminDatabase }: { address: ServerAddress; adminDatabase: string },
  database: string,
  { onLife }: { onLife?: ((copiedBytes: number) => void) | undefined },
): AsyncDisposable {
  if (!onLife) return { [Symbol.asyncDispose]: async () => {} }
  const ended = new AbortController()
  const watching = watch(address, adminDatabase, { database, onLife, signal: ended.signal })
  return {
    async [Symbol.asyncDispose]() {
      ended.abort()
      await watching
    },
  }
}

interface Watch {
  database: string
  onLife: (copiedBytes: number) => void
  signal: AbortSignal
}

async function watch(
  address: ServerAddress,
  adminDatabase: string,
  { database, onLife, signal }: Watch,
): Promise<void> {
  let before = new Map<number, Work>()
  while (!signal.aborted) {
    try {
      await using session = await openSession(address, adminDatabase, { signal })
      for (;;) {
        const now = await look(session, database)
        const { isAlive, copiedBytes } = compare(before, now)
        if (isAlive) onLife(copiedBytes)
        before = now
        await delay(pollMs, undefined, { signal })
      }
    } catch {
      // A server that cannot be asked gives no sign of life: that is what the caller goes by.
      await delay(pollMs, undefined, { signal }).catch(() => {})
    }
  }
}

async function look({ sql, versionNumber }: Session, database: string): Promise<Map<number, Work>> {
  const rows = await sql.unsafe<Work[]>(versionNumber >= 140_000 ? withProgress : withoutProgress, [database])
  return new Map(rows.map((work) => [work.pid, work]))
}

function compare(before: ReadonlyMap<number, Work>, now: ReadonlyMap<number, Work>) {
  let isAlive = false
  let copiedBytes = 0
  for (const work of now.values()) {
    const known = before.get(work.pid)
    isAlive ||= work.isBusy || work.sign !== known?.sign
    // What is less than before is another COPY, all of which is new.
    const since = work.copiedBytes - (known?.copiedBytes ?? 0)
    copiedBytes += since < 0 ? work.copiedBytes : since
  }
  return { isAlive, copiedBytes }
}
