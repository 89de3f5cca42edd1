import type { IncomingMessage, ServerResponse } from 'node:http'
import { type Rejection, reject, send } from './answer.ts'
import type { EventStreams } from './event-streams.ts'
import { asksForPage, sendGraphiql } from './graphiql.ts'
import { unreadiness } from './health.ts'
import type { Admitted } from './http.ts'
import type { EdgeLimits } from './limits.ts'
import { type JobCount, metricsText } from './metrics.ts'
import { type Access, placeRejection, principalOf, unauthenticated } from './security.ts'
import type { WebSockets } from './websocket.ts'

export interface RouterOptions {
  access: Access
  limits: EdgeLimits
  graphql: (request: IncomingMessage, response: ServerResponse, admitted: Admitted) => void
  sockets: WebSockets
  streams: EventStreams
  readiness: () => Promise<void>
  collect: () => Promise<readonly JobCount[]>
}

type Handler = (request: IncomingMessage, response: ServerResponse, requestId: string) => Promise<void>

/** Sends each request where its path says, with the headers that every answer has. */
export function router(options: RouterOptions): Handler {
  const { sockets, streams, readiness, collect } = options
  const routes: Record<string, Handler> = {
    '/': async (request, response) => send(request, response, 302, '', { location: '/graphql' }),
    '/graphql': (request, response, requestId) => graphqlRoute(request, response, requestId, options),
    '/healthz': async (request, response) => send(request, response, 200, 'ok\n'),
    '/readyz': async (request, response) => {
      const reason = await unreadiness(readiness)
      send(request, response, reason === undefined ? 200 : 503, `${reason ?? 'ok'}\n`)
    },
    '/metrics': async (request, response) => {
      const metrics = { jobs: await collect(), sockets: sockets.size, eventStreams: streams.size }
      send(request, response, 200, metricsText(metrics), { 'content-type': 'text/plain; version=0.0.4; charset=utf-8' })
    },
  }
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

async function graphqlRoute(
  request: IncomingMessage,
  response: ServerResponse,
  requestId: string,
  { access, limits, graphql }: RouterOptions,
): Promise<void> {
  const misplaced = placeRejection(request, access)
  if (misplaced) return reject(request, response, misplaced)
  if (asksForPage(request)) return sendGraphiql(request, response)
  const rejection = shapeRejection(request, limits)
  if (rejection) return reject(request, response, rejection)
  const principal = principalOf(request.headers.authorization, access)
  if (!principal) return reject(request, response, unauthenticated)
  graphql(request, response, { principal, requestId })
}

function shapeRejection({ method, headers }: IncomingMessage, { bodyBytes }: EdgeLimits): Rejection | undefined {
  if (method === 'GET') return undefined
  if (method !== 'POST') return { ...methodNotAllowed, headers: { allow: 'GET, POST' } }
  const mediaType = headers['content-type']?.split(';', 1)[0]?.trim().toLowerCase()
  if (mediaType !== 'application/json') {
    return {
      status: 415,
      code: 'UNSUPPORTED_MEDIA_TYPE',
      message: 'Send the request as "Content-Type: application/json".',
    }
  }
  if (Number(headers['content-length'] ?? 0) > bodyBytes) {
    return { status: 413, code: 'LIMIT_EXCEEDED', message: `The body has more than ${bodyBytes} bytes.` }
  }
  return undefined
}

const notFound: Rejection = {
  status: 404,
  code: 'NOT_FOUND',
  message: 'There is nothing here; the API is at /graphql.',
}
const methodNotAllowed: Rejection = {
  status: 405,
  code: 'METHOD_NOT_ALLOWED',
  message: 'This method is not used here.',
}
