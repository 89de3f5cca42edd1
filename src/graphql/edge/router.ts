import type { IncomingMessage, ServerResponse } from 'node:http'
import { type Rejection, reject, send } from './answer.ts'
import type { EventStreams } from './event-streams.ts'
import { asksForPage, sendGraphiql } from './graphiql.ts'
import { type Handler, type HealthOptions, healthRoutes, methodNotAllowed, routed } from './health-routes.ts'
import type { Admitted } from './http.ts'
import type { EdgeLimits } from './limits.ts'
import { type Access, placeRejection, principalOf, unauthenticated } from './security.ts'
import type { WebSockets } from './websocket.ts'

export interface RouterOptions extends HealthOptions {
  access: Access
  limits: EdgeLimits
  graphql: (request: IncomingMessage, response: ServerResponse, admitted: Admitted) => void
  sockets: WebSockets
  streams: EventStreams
}

/** Sends each request where its path says. */
export function router(options: RouterOptions): Handler {
  const { sockets, streams } = options
  return routed({
    '/': async (request, response) => send(request, response, 302, '', { location: '/graphql' }),
    '/graphql': (request, response, requestId) => graphqlRoute(request, response, requestId, options),
    ...healthRoutes(options, () => ({ sockets: sockets.size, eventStreams: streams.size })),
  })
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
