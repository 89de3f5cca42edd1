import type { Database } from '../database/connect.ts'
import type { Listener } from '../database/listen.ts'
import { isOutage } from '../database/outage.ts'
import { createAlarm } from './alarm.ts'
import { jobsChannel } from './change.ts'
import { type FeedCursor, feedStart, type JobEventFilter, readJobEvents } from './events.ts'
import { findJobs } from './find.ts'
import { isEnded, type JobEvent, type JobRow } from './states.ts'

/** How often the database is asked although no notification came: those are hints and may be lost, ms. */
const pollMs = 3_000
const pageSize = 100
/** While an open transaction holds up events that are there already, the next look is soon, ms. */
const firstRecheckMs = 5
const longestPauseMs = 1_000

export interface WatchJobEvents {
  /** Where to go on; from the first event when left out. */
  after?: FeedCursor
  filter?: JobEventFilter
  signal?: AbortSignal
}

/**
 * Every matching event after the cursor: first those that are there, then each as it comes, in feed order and without gaps,
 * across outages of the database. Ends when the signal fires or it is returned, and is then free of everything.
 */
export function watchJobEvents(
  database: Database,
  listener: Pick<Listener, 'subscribe'>,
  { after = feedStart, filter = {}, signal }: WatchJobEvents = {},
): AsyncIterableIterator<JobEvent, undefined> {
  let cursor = after
  let recheckMs = firstRecheckMs
  return follow({
    signal,
    subscribe: (onHint) =>
      listener.subscribe(jobsChannel, (jobId) => {
        if (jobId === undefined || !filter.jobIds || filter.jobIds.includes(jobId)) onHint()
      }),
    async look() {
      const page = await readJobEvents(database, { after: cursor, filter, limit: pageSize })
      cursor = page.cursor
      recheckMs = page.isHeldUp ? Math.min(recheckMs * 2, longestPauseMs) : firstRecheckMs
      const restMs = page.isHeldUp ? recheckMs : pollMs
      return { items: page.events, restMs: page.isFull ? 0 : restMs, isLast: false }
    },
  })
}

/**
 * The job as it is now, then again after each change, the newest state where several came together; completes with the
 * state in which the job ended, at once when there is no such job.
 */
export function watchJob(
  database: Database,
  listener: Pick<Listener, 'subscribe'>,
  jobId: string,
  { signal }: { signal?: AbortSignal } = {},
): AsyncIterableIterator<JobRow, undefined> {
  let seen = 0
  return follow({
    signal,
    subscribe: (onHint) =>
      listener.subscribe(jobsChannel, (changed) => {
        if (changed === undefined || changed === jobId) onHint()
      }),
    async look() {
      const job = (await findJobs(database, [jobId])).get(jobId)
      const isNews = job !== undefined && job.eventSequence > seen
      seen = job?.eventSequence ?? seen
      return { items: isNews ? [job] : [], restMs: pollMs, isLast: job === undefined || isEnded(job.status) }
    },
  })
}

/** What one look found. */
interface Sight<Item> {
  /** Not given out yet. */
  items: Item[]
  /** How long to wait for a hint before the next look, ms. */
  restMs: number
  isLast: boolean
}

interface Following<Item> {
  subscribe: (onHint: () => void) => () => void
  look: () => Promise<Sight<Item>>
  signal: AbortSignal | undefined
}

/**
 * Looks when asked for an item and woken by a hint, never ahead of its reader. Not an async generator: those cannot be
 * returned while they wait, so that what a client left behind would never be freed.
 */
function follow<Item>({ subscribe, look, signal }: Following<Item>): AsyncIterableIterator<Item, undefined> {
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
