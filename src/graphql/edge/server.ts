import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type Server as HttpServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Duplex } from 'node:stream'
import type { GraphQLSchema } from 'graphql'
import type { Logger } from 'pino'
import type { Services } from '../context.ts'
import { schema as wholeSchema } from '../schema/schema.ts'
import { documentReader } from './document-reader.ts'
import { eventStreams } from './event-streams.ts'
import { type Handler, type HealthOptions, healthRoutes, pathOf, routed } from './health-routes.ts'
import { httpHandler } from './http.ts'
import { defaultLimits, type EdgeLimits } from './limits.ts'
import { router } from './router.ts'
import { placeRejection } from './security.ts'
import { refuseUpgrade, webSockets } from './websocket.ts'

export interface ServerOptions extends HealthOptions {
  services: Services
  host: string
  /** 0 takes any free port. */
  port: number
  /** Null: whoever reaches the port may ask. */
  apiToken: string | null
  log: Logger
  schema?: GraphQLSchema
  limits?: Partial<EdgeLimits>
}

export interface Server extends AsyncDisposable {
  port: number
  /** Open WebSockets and streams of server-sent events. */
  readonly connections: { sockets: number; eventStreams: number }
}

/**
 * Serves the API: GraphQL over HTTP, server-sent events and WebSockets, GraphiQL, health and metrics; resolves when it
 * listens. Disposing of it takes no more requests, closes sockets with 1001, cuts event streams, and lets the requests
 * under way finish, within `limits.stopMs`.
 */
export async function startServer({ schema = wholeSchema, limits: given, ...options }: ServerOptions): Promise<Server> {
  const { services, host, port, apiToken, log } = options
  const limits = { ...defaultLimits, ...given }
  const access = { host, apiToken }
  const reader = documentReader(schema, limits)
  const streams = eventStreams(limits.eventStreams)
  const sockets = webSockets({ schema, services, reader, limits, access, log })
  const graphql = httpHandler({ schema, services, reader, streams, limits, log })
  const route = router({ ...options, access, limits, graphql, sockets, streams })

  const server = createServer({
    headersTimeout: limits.headersMs,
    requestTimeout: limits.requestMs,
    connectionsCheckingInterval: Math.min(limits.headersMs, 2000),
  })
  server.on('request', (request, response) => void answer(route, request, response, log))
  server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    socket.on('error', () => socket.destroy())
    const rejection = placeRejection(request, access)
    if (rejection) return refuseUpgrade(socket, rejection.status, rejection.code)
    if (pathOf(request) !== '/graphql') return refuseUpgrade(socket, 404, 'Not Found')
    sockets.accept(request, socket, head)
  })
  server.listen(port, host)
  await once(server, 'listening')
  return {
    // A server that listens on TCP has such an address.
    port: (server.address() as AddressInfo).port,
    get connections() {
      return { sockets: sockets.size, eventStreams: streams.size }
    },
    async [Symbol.asyncDispose]() {
      const closed = closeServer(server, limits.stopMs)
      streams.cut()
      await Promise.all([sockets.stop(), closed])
    },
  }
}

/** Serves health and metrics alone, for a process that has no API; until it is disposed of. */
export async function startHealthServer({
  host,
  port,
  log,
  ...options
}: HealthOptions & Pick<ServerOptions, 'host' | 'port' | 'log'>): Promise<AsyncDisposable & { port: number }> {
  const { headersMs, requestMs, stopMs } = defaultLimits
  const route = routed(healthRoutes(options, () => ({ sockets: 0, eventStreams: 0 })))
  const server = createServer({ headersTimeout: headersMs, requestTimeout: requestMs })
  server.on('request', (request, response) => void answer(route, request, response, log))
  server.listen(port, host)
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    [Symbol.asyncDispose]: () => closeServer(server, stopMs),
  }
}

async function answer(route: Handler, request: IncomingMessage, response: ServerResponse, log: Logger): Promise<void> {
  const requestId = randomUUID()
  try {
    await route(request, response, requestId)
  } catch (error) {
    log.error({ requestId, err: error }, 'A request failed')
    if (!response.headersSent) response.writeHead(500, { 'content-length': '0' })
    response.end()
  }
}

/** Takes no more connections; waits for the requests under way, then cuts what is left. */
async function closeServer(server: HttpServer, stopMs: number): Promise<void> {
  const closed = once(server, 'close')
  server.close()
  // A connection that has just answered is kept open for a next request that would be refused.
  const sweep = setInterval(() => server.closeIdleConnections(), 20)
  const cut = setTimeout(() => server.closeAllConnections(), stopMs)
  await closed
  clearInterval(sweep)
  clearTimeout(cut)
}
