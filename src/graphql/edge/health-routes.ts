import type { IncomingMessage, ServerResponse } from 'node:http'
import { type Rejection, reject, send } from './answer.ts'
import { answered } from './health.ts'
import { type Collected, metricsText } from './metrics.ts'

export type Handler = (request: IncomingMessage, response: ServerResponse, requestId: string) => Promise<void>

export interface HealthOptions {
  /** Throws when the service cannot serve. */
  readiness: () => Promise<void>
  /** What /metrics shows; asked for once in 10 s at most, and never twice at once. */
  collect: () => Promise<Collected>
  /** How long ago a worker last said that it is there, s; null: none ever has. */
  workerSeenSeconds: () => Promise<number | null>
}

const collectedMs = 10_000
/** Prometheus gives up after 10 s. */
const collectingMs = 5_000
/** A worker says so every 10 s; its database, or its machine, may be slow. */
export const longestUnseenSeconds = 60

/** What tells of the process and of the service to those who watch them. Nobody is asked for a token. */
export function healthRoutes(
  { readiness, collect, workerSeenSeconds }: HealthOptions,
  connections: () => { sockets: number; eventStreams: number },
): Record<string, Handler> {
  const collectSparingly = sparing(collect, collectedMs)
  return {
    '/healthz': async (request, response) => send(request, response, 200, 'ok\n'),
    '/healthz/worker': async (request, response) => {
      const { answer: seconds, reason } = await answered(workerSeenSeconds)
      if (seconds === undefined) return send(request, response, 503, `${reason}\n`)
      const isThere = seconds !== null && seconds <= longestUnseenSeconds
      const since = seconds === null ? 'ever' : `for ${Math.round(seconds)} s`
      send(request, response, isThere ? 200 : 503, isThere ? 'ok\n' : `No worker has been seen ${since}.\n`)
    },
    '/readyz': async (request, response) => {
      const { reason } = await answered(readiness)
      send(request, response, reason === undefined ? 200 : 503, `${reason ?? 'ok'}\n`)
    },
    '/metrics': async (request, response) => {
      const { answer, reason } = await answered(collectSparingly, { withinMs: collectingMs })
      if (!answer) return send(request, response, 503, `${reason}\n`)
      const text = metricsText({ ...answer, ...connections() })
      send(request, response, 200, text, { 'content-type': 'text/plain; version=0.0.4; charset=utf-8' })
    },
  }
}

/** Calls the one of the routes that the request asks for, with the headers that every answer has. */
export function routed(routes: Record<string, Handler>): Handler {
  return async (request, response, requestId) => {
    response.setHeader('x-request-id', requestId)
    response.setHeader('x-content-type-options', 'nosniff')
    response.setHeader('x-frame-options', 'DENY')
    response.setHeader('referrer-policy', 'no-referrer')
    response.setHeader('cache-control', 'no-store')
    const path = pathOf(request)
    const route = Object.hasOwn(routes, path) ? routes[path] : undefined
    if (!route) return reject(request, response, notFound)
    if (path !== '/graphql' && request.method !== 'GET' && request.method !== 'HEAD') {
      return reject(request, response, { ...methodNotAllowed, headers: { allow: 'GET, HEAD' } })
    }
    return route(request, response, requestId)
  }
}

/** The path that a request asks for, without its query. */
export function pathOf({ url = '/' }: IncomingMessage): string {
  return url.split('?', 1)[0] ?? ''
}

/** Answers what was answered last while it is not older than that; a failure is not kept. */
function sparing<T>(ask: () => Promise<T>, keptMs: number): () => Promise<T> {
  let last: { answer: Promise<T>; endedMs: number } | undefined
  return () => {
    if (last && performance.now() - last.endedMs < keptMs) return last.answer
    // While it is asked for, everybody waits for the same answer.
    const asked = { answer: ask(), endedMs: Infinity }
    last = asked
    asked.answer.then(
      () => {
        asked.endedMs = performance.now()
      },
      () => {
        last = undefined
      },
    )
    return asked.answer
  }
}

const notFound: Rejection = {
  status: 404,
  code: 'NOT_FOUND',
  message: 'There is nothing here; the API is at /graphql.',
}
export const methodNotAllowed: Rejection = {
  status: 405,
  code: 'METHOD_NOT_ALLOWED',
  message: 'This method is not used here.',
}
