import type { ServerResponse } from 'node:http'
import type { ExecutionResult } from 'graphql'
import { requestError } from './errors.ts'

/** The streams of server-sent events that are open. */
export interface EventStreams {
  readonly size: number
  /** Counts a stream that begins, until its client is gone; throws a GraphQLError when there are too many. */
  takePlace(response: ServerResponse): void
  /** Frees the results as soon as the client goes away. */
  add(results: AsyncIterableIterator<ExecutionResult>, response: ServerResponse): void
  /** Cuts every stream without saying that it is complete, so that clients come back. */
  cut(): void
}

export function eventStreams(limit: number): EventStreams {
  const open = new Set<ServerResponse>()
  return {
    get size() {
      return open.size
    },
    takePlace(response) {
      if (open.size >= limit) {
        throw requestError('LIMIT_EXCEEDED', `This process serves ${limit} event streams already.`, 503)
      }
      if (response.closed || response.destroyed) return
      open.add(response)
      response.once('close', () => open.delete(response))
    },
    add(results, response) {
      const free = () => void results.return?.()
      if (response.closed || response.destroyed) return free()
      response.once('close', free)
    },
    cut() {
      for (const response of open) response.socket?.destroySoon()
    },
  }
}
