import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'

export interface Proxy extends AsyncDisposable {
  /** The given address, by way of the proxy. */
  url: string
  /** How many connections it has refused. */
  readonly refused: number
  /** Breaks all connections and refuses new ones. */
  cut(): void
  /** Lets nothing through any more, and says nothing: as when a cable is pulled. */
  stall(): void
  /** Lets new connections through again; stalled ones stay lost. */
  heal(): void
}

/** A way to a server that can be interrupted. */
export async function startProxy(target: string): Promise<Proxy> {
  const { hostname, port } = new URL(target)
  const sockets = new Set<Socket>()
  let refused = 0
  let state: 'open' | 'cut' | 'stalled' = 'open'
  const keep = (socket: Socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
    socket.on('close', () => sockets.delete(socket))
  }
  const forward = (from: Socket, to: Socket) => {
    from.on('data', (bytes) => state !== 'stalled' && to.write(bytes))
    from.on('close', () => state !== 'stalled' && to.destroy())
  }
  const server = createServer((client) => {
    keep(client)
    if (state === 'cut') {
      refused++
      client.destroy()
    }
    if (state !== 'open') return
    const upstream = connect(Number(port), hostname)
    keep(upstream)
    forward(client, upstream)
    forward(upstream, client)
  })
  const breakAll = () => {
    for (const socket of sockets) socket.destroy()
  }
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  const url = new URL(target)
  url.hostname = '127.0.0.1'
  url.port = typeof address === 'object' && address ? String(address.port) : ''
  return {
    url: url.href,
    get refused() {
      return refused
    },
    cut() {
      state = 'cut'
      breakAll()
    },
    stall() {
      state = 'stalled'
    },
    heal() {
      breakAll()
      state = 'open'
    },
    async [Symbol.asyncDispose]() {
      state = 'cut'
      breakAll()
      server.close()
      await once(server, 'close')
    },
  }
}
