import type { ServerResponse } from 'node:http'
import type { ExecutionResult } from 'graphql'
import { requestError } from './errors.ts'

/** The streams of server-sent events that are open. */
export interface EventStreams {
  readonly size: number
  /** Throws a GraphQLError when there are too many. */
  checkRoom(): void
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
    checkRoom() {
      if (open.size >= limit) {
        throw requestError('LIMIT_EXCEEDED', `This process serves ${limit} event streams already.`, 503)
      }
    },
    add(results, response) {
      const free = () => {
        open.delete(response)
        void results.return?.()
      }
      if (response.closed || response.destroyed) return free()
      open.add(response)
      response.once('close', free)
    },
    cut() {
      for (const response of open) response.socket?.destroySoon()
    },
  }
}
