import { setTimeout as delay } from 'node:timers/promises'
import { EngineError } from './engine-error.ts'

const pauseMs = 1000

/**
 * Does a piece of work again, a second later each time, for as long as it throws an EngineError and the signal has not
 * fired; then throws what it failed with last. For what has to be known, or undone, whatever the server is at.
 */
export async function untilDone<Result>(work: () => Promise<Result>, signal: AbortSignal): Promise<Result> {
  let last: unknown
  for (;;) {
    try {
      return await work()
    } catch (error) {
      // What an abort ends says nothing of the server: what it failed with before does.
      last = error instanceof EngineError || last === undefined ? error : last
      if (!(error instanceof EngineError) || signal.aborted) throw last
    }
    await delay(pauseMs, undefined, { signal }).catch(() => {})
    if (signal.aborted) throw last
  }
}
