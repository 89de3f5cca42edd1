import { randomUUID } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import type { GraphQLSchema } from 'graphql'
import { CloseCode, handleProtocols, makeServer, type Server } from 'graphql-ws'
import type { Logger } from 'pino'
import { type WebSocket, WebSocketServer } from 'ws'
import type { Services } from '../context.ts'
import type { DocumentReader } from './document-reader.ts'
import type { EdgeLimits } from './limits.ts'
import type { Access } from './security.ts'
import { socketOperation } from './socket-operation.ts'

export interface WebSocketOptions {
  schema: GraphQLSchema
  services: Services
  reader: DocumentReader
  limits: EdgeLimits
  access: Access
  log: Logger
}

/** What a socket brings along: the request that opened it. */
export interface SocketExtra {
  request: IncomingMessage
}

/** The WebSockets of the process, speaking graphql-transport-ws. */
export interface WebSockets {
  readonly size: number
  /** Takes over a connection whose upgrade was let in. */
  accept(request: IncomingMessage, socket: Duplex, head: Buffer): void
  /** Closes all with 1001 and waits for them; what is still open after the bound is cut. */
  stop(): Promise<void>
}

const pingMs = 12_000

export function webSockets(options: WebSocketOptions): WebSockets {
  const { limits, log } = options
  const protocol = makeServer(socketOperation(options))
  const server = new WebSocketServer({
    noServer: true,
    maxPayload: limits.socketMessageBytes,
    perMessageDeflate: false,
    handleProtocols,
  })
  server.on('connection', (socket, request) => serve(protocol, socket, request, log))
  return {
    get size() {
      return server.clients.size
    },
    accept(request, socket, head) {
      if (server.clients.size >= limits.sockets) return refuseUpgrade(socket, 503, 'Service Unavailable')
      server.handleUpgrade(request, socket, head, (webSocket) => server.emit('connection', webSocket, request))
    },
    async stop() {
      const closed = [...server.clients].map((socket) => new Promise((resolve) => socket.once('close', resolve)))
      for (const socket of server.clients) socket.close(1001, 'Going away')
      const cut = setTimeout(() => {
        for (const socket of server.clients) socket.terminate()
      }, limits.stopMs)
      await Promise.all(closed)
      clearTimeout(cut)
    },
  }
}

/** Answers an upgrade that is not let in, and closes the connection. */
export function refuseUpgrade(socket: Duplex, status: number, reason: string): void {
  socket.end(`HTTP/1.1 ${status} ${reason}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n`)
}

function serve(protocol: Server<SocketExtra>, socket: WebSocket, request: IncomingMessage, log: Logger): void {
  const closed = protocol.opened(
    {
      protocol: socket.protocol,
      send: (data) =>
        new Promise((resolve, reject) => {
          if (socket.readyState !== socket.OPEN) return resolve()
          socket.send(data, (error) => (error && socket.readyState === socket.OPEN ? reject(error) : resolve()))
        }),
      close: (code, reason) => socket.close(code, reason),
      onMessage: (handle) => {
        socket.on('message', (data) => {
          handle(String(data)).catch((error: unknown) => {
            const requestId = randomUUID()
            log.error({ requestId, err: error }, 'A WebSocket message failed')
            socket.close(CloseCode.InternalServerError, `Internal server error, request id ${requestId}`)
          })
        })
      },
    },
    { request },
  )
  const stopPinging = keepAlive(socket)
  socket.on('error', (error) => log.debug({ err: error }, 'A WebSocket failed'))
  socket.once('close', (code, reason) => {
    stopPinging()
    void closed(code, String(reason))
  })
}

/** Pings, and cuts a socket whose other end answers no more. */
function keepAlive(socket: WebSocket): () => void {
  let isAlive = true
  socket.on('pong', () => {
    isAlive = true
  })
  const timer = setInterval(() => {
    if (!isAlive) return socket.terminate()
    isAlive = false
    socket.ping()
  }, pingMs)
  return () => clearInterval(timer)
}
