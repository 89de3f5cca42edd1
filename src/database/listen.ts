import { setTimeout as delay } from 'node:timers/promises'
import type { Logger } from 'pino'
import postgres from 'postgres'

/** Told a notification's payload, or undefined: "you may have missed some, look for yourself". Must not throw. */
export type OnHint = (payload: string | undefined) => void

export interface Listener extends AsyncDisposable {
  /** Calls back for every notification on the channel, and after each (re)connect; answers how to stop. */
  subscribe(channel: string, onHint: OnHint): () => void
}

const longestPauseMs = 2_000

/**
 * Listens for the metadata database's notifications, on a connection of its own that is made again for ever when it is
 * lost, silently or not. A notification may be lost meanwhile, its effect never: every subscriber is then told to look.
 * Resolves when first connected; throws when that fails. A connection that fell silent is noticed within two heartbeats.
 */
export async function startListener(
  url: string,
  { log, heartbeatMs = 5_000 }: { log?: Logger; heartbeatMs?: number } = {},
): Promise<Listener> {
  const subscribers = new Map<string, Set<OnHint>>()
  const tell = (channel: string, payload?: string) => {
    for (const onHint of subscribers.get(channel) ?? []) queueMicrotask(() => onHint(payload))
  }
  const disposed = new AbortController()
  let link = openLink(url, tell, heartbeatMs)
  await link.proveAlive().catch(async (cause) => {
    await link.close()
    throw cause
  })

  const kept = (async () => {
    for (let failures = 0; !disposed.signal.aborted; ) {
      try {
        await Promise.race([link.lost, beat(link, heartbeatMs, disposed.signal, () => (failures = 0))])
      } catch (cause) {
        if (disposed.signal.aborted) break
        log?.warn({ err: cause }, 'The connection for notifications was lost and is made again.')
        await link.close()
        await delay(Math.min(50 * 2 ** failures++, longestPauseMs), undefined, { signal: disposed.signal }).catch(
          () => {},
        )
        link = openLink(url, tell, heartbeatMs)
        for (const channel of subscribers.keys()) link.listen(channel)
      }
    }
    await link.close()
  })()

  return {
    subscribe(channel, onHint) {
      const known = subscribers.get(channel)
      const all = known ?? new Set<OnHint>()
      subscribers.set(channel, all.add(onHint))
      if (!known) link.listen(channel)
      return () => all.delete(onHint)
    },
    async [Symbol.asyncDispose]() {
      disposed.abort()
      await kept
    },
  }
}

async function beat(link: Link, heartbeatMs: number, signal: AbortSignal, onAlive: () => void): Promise<never> {
  for (;;) {
    await link.proveAlive()
    onAlive()
    await delay(heartbeatMs, undefined, { signal })
  }
}

type Link = ReturnType<typeof openLink>

/** One client and what it listens to, until it is lost. */
function openLink(url: string, tell: (channel: string, payload?: string) => void, patienceMs: number) {
  const client = postgres(url, {
    max: 1,
    // The driver's own question for the types of arrays is left out: nobody catches its failure, which ends the process.
    fetch_types: false,
    connect_timeout: Math.ceil(patienceMs / 1000),
    backoff: () => 0.05,
    onnotice: () => {},
    connection: { application_name: 'holdfast listener' },
  })
  const { promise: lost, reject: lose } = Promise.withResolvers<never>()
  // A loss that nobody waits for yet is seen by the next wait.
  lost.catch(() => {})
  const heartbeats = `holdfast_heartbeat_${crypto.randomUUID()}`
  let onHeartbeat = () => {}
  let isHeartListening = false
  return {
    lost,
    listen(channel: string): void {
      client
        .listen(
          channel,
          (payload) => tell(channel, payload),
          () => tell(channel),
        )
        .catch(lose)
    },
    /** Sends a notification to itself: the whole way there and back works, or this throws in time. */
    async proveAlive(): Promise<void> {
      const { promise: back, resolve, reject } = Promise.withResolvers<void>()
      const timer = setTimeout(() => reject(new Error(`no heartbeat within ${patienceMs} ms`)), patienceMs)
      onHeartbeat = resolve
      const sent = async () => {
        if (!isHeartListening) await client.listen(heartbeats, () => onHeartbeat())
        isHeartListening = true
        await client.notify(heartbeats, '')
        await back
      }
      await Promise.race([sent(), back]).finally(() => clearTimeout(timer))
    },
    close: () => client.end({ timeout: 0 }),
  }
}
