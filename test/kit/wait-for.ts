import { setTimeout as delay } from 'node:timers/promises'

/**
 * Looks every 10 ms until the look answers something true, and gives that; throws, naming what was waited for, after `withinMs`
 * (default 10 s). For what cannot be awaited itself, such as the state of a process.
 */
export async function waitFor<T>(
  what: string,
  look: () => T | Promise<T>,
  { withinMs = 10_000 }: { withinMs?: number } = {},
): Promise<Exclude<T, Nothing>> {
  const until = performance.now() + withinMs
  for (;;) {
    const seen = await look()
    if (isSeen(seen)) return seen
    if (performance.now() > until) throw new Error(`Waited ${withinMs} ms in vain: ${what}`)
    await delay(10)
  }
}

type Nothing = false | 0 | '' | null | undefined

function isSeen<T>(seen: T): seen is Exclude<T, Nothing> {
  return Boolean(seen)
}

/** The promise's own outcome, or an error naming what was waited for when it takes longer than `withinMs` (default 10 s). */
export async function within<T>(
  what: string,
  promise: Promise<T>,
  { withinMs = 10_000 }: { withinMs?: number } = {},
): Promise<T> {
  const { promise: tooLate, reject } = Promise.withResolvers<never>()
  const timer = setTimeout(() => reject(new Error(`Waited ${withinMs} ms in vain: ${what}`)), withinMs)
  return Promise.race([promise, tooLate]).finally(() => clearTimeout(timer))
}
