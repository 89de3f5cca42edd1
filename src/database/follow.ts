import { createAlarm } from './alarm.ts'
import { isOutage } from './outage.ts'

const longestPauseMs = 1_000
/** While an open transaction holds up rows of a feed that are there already, the next look is soon, ms. */
const firstRecheckMs = 5

/** How long to rest after each page of a feed: not after a full one, briefly and then longer while rows are held up, else `pollMs`. */
export function feedRests(pollMs: number): (page: { isFull: boolean; isHeldUp: boolean }) => number {
  let recheckMs = firstRecheckMs
  return ({ isFull, isHeldUp }) => {
    recheckMs = isHeldUp ? Math.min(recheckMs * 2, longestPauseMs) : firstRecheckMs
    if (isFull) return 0
    return isHeldUp ? recheckMs : pollMs
  }
}

/** What one look found. */
export interface Sight<Item> {
  /** Not given out yet. */
  items: Item[]
  /** How long to wait for a hint before the next look, ms. */
  restMs: number
  isLast: boolean
}

export interface Following<Item> {
  subscribe: (onHint: () => void) => () => void
  look: () => Promise<Sight<Item>>
  signal: AbortSignal | undefined
}

/**
 * Looks when asked for an item and woken by a hint, never ahead of its reader. Not an async generator: those cannot be
 * returned while they wait, so that what a client left behind would never be freed.
 */
export function follow<Item>({ subscribe, look, signal }: Following<Item>): AsyncIterableIterator<Item, undefined> {
  const alarm = createAlarm()
  const { promise: over, resolve: leave } = Promise.withResolvers<undefined>()
  const unsubscribe = subscribe(alarm.ring)
  let sight: Sight<Item> = { items: [], restMs: 0, isLast: false }
  let failures = 0
  let isOver = false

  const finish = () => {
    isOver = true
    unsubscribe()
    signal?.removeEventListener('abort', finish)
    leave(undefined)
    alarm.ring()
  }
  const lookAgain = async () => {
    if (sight.restMs > 0) await alarm.wait(sight.restMs)
    if (isOver) return
    try {
      sight = (await Promise.race([look(), over])) ?? sight
      failures = 0
    } catch (cause) {
      if (!isOutage(cause)) throw cause
      sight = { ...sight, restMs: Math.min(25 * 2 ** failures++, longestPauseMs) }
    }
  }
  const pull = async (): Promise<IteratorResult<Item, undefined>> => {
    while (!isOver) {
      const item = sight.items.shift()
      if (item) return { done: false, value: item }
      if (sight.isLast) finish()
      else
        await lookAgain().catch((cause) => {
          finish()
          throw cause
        })
    }
    return { done: true, value: undefined }
  }

  if (signal?.aborted) finish()
  else signal?.addEventListener('abort', finish)
  let latest: Promise<unknown> = Promise.resolve()
  return {
    next() {
      const pulled = latest.then(pull, pull)
      latest = pulled
      return pulled
    },
    async return() {
      finish()
      return { done: true, value: undefined }
    },
    [Symbol.asyncIterator]() {
      return this
    },
  }
}
