import type { Listener } from '../context.ts'
import { builder } from './builder.ts'

builder.subscriptionType({ description: 'Everything that can be watched: the present state first, then every change.' })

/** How one stream is read; it remembers by itself how far it has read. */
export interface LiveSource<Event> {
  /** The listener's channel whose hints may mean something new. */
  channel: string
  /** Whether a hint with this payload can concern the stream; every hint does when left out. */
  concerns?: (payload: string) => boolean
  /** Everything new since the last call, in order, in batches of bounded size; `isOver` when nothing will follow. */
  read: () => Promise<{ events: Event[]; isOver: boolean }>
  /** The floor under lost hints, milliseconds. */
  pollMs?: number
}

/**
 * A stream of changes: reads, answers what is new, then waits for a hint or the poll and reads again.
 * A hint is never the truth: the source asks the database. Returning (the client went away) ends a wait at once
 * and frees everything, which an async generator would not do while it waits.
 */
export function live<Event>(
  listener: Listener,
  { channel, concerns = () => true, read, pollMs = 3000 }: LiveSource<Event>,
): AsyncIterableIterator<Event> {
  const state = { isOver: false, mayHaveNews: true, wake: () => {} }
  let events: Event[] = []
  const hint = () => {
    state.mayHaveNews = true
    state.wake()
  }
  const unsubscribe = listener.subscribe(channel, (payload) => {
    if (payload === undefined || concerns(payload)) hint()
  })
  const poll = setInterval(hint, pollMs)
  const end = () => {
    state.isOver = true
    clearInterval(poll)
    unsubscribe()
    state.wake()
  }

  async function next(): Promise<IteratorResult<Event>> {
    while (true) {
      const event = events.shift()
      if (event !== undefined) return { done: false, value: event }
      if (state.isOver) return { done: true, value: undefined }
      if (state.mayHaveNews) await readMore()
      else await new Promise<void>((resolve) => (state.wake = resolve))
    }
  }

  async function readMore(): Promise<void> {
    state.mayHaveNews = false
    try {
      const news = await read()
      if (state.isOver) return
      events = news.events
      if (events.length > 0) state.mayHaveNews = true
      if (news.isOver) end()
    } catch (error) {
      end()
      throw error
    }
  }

  let last: Promise<unknown> = Promise.resolve()
  return {
    [Symbol.asyncIterator]() {
      return this
    },
    next() {
      const answer = last.then(next, next)
      last = answer
      return answer
    },
    return() {
      events = []
      end()
      return Promise.resolve({ done: true, value: undefined })
    },
  }
}
