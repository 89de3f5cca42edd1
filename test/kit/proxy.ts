import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'

export interface Proxy extends AsyncDisposable {
  /** The given address, by way of the proxy. */
  url: string
  /** Breaks all connections, and nothing listens any more: as when a server is restarted. */
  cut(): void
  /** Breaks all connections, and hangs up on new ones: as a proxy does that has lost its server. */
  hangUp(): void
  /** Lets nothing through any more, and says nothing: as when a cable is pulled. */
  stall(): void
  /** Lets no more answers through on the connections there are, and says nothing: as when a router forgot the way back. */
  mute(): void
  /** Lets new connections through again; resolves when it does. */
  heal(): Promise<void>
}

/** A way to a server that can be interrupted. */
export async function startProxy(target: string): Promise<Proxy> {
  const { hostname, port } = new URL(target)
  const sockets = new Set<Socket>()
  const upstreams = new Set<Socket>()
  const muted = new WeakSet<Socket>()
  let state: 'open' | 'hanging up' | 'stalled' = 'open'
  const keep = (socket: Socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
    socket.on('close', () => sockets.delete(socket))
  }
  const forward = (from: Socket, to: Socket) => {
    const isHeard = () => state !== 'stalled' && !muted.has(from)
    from.on('data', (bytes) => isHeard() && to.write(bytes))
    from.on('close', () => isHeard() && to.destroy())
  }
  const server = createServer((client) => {
    keep(client)
    if (state === 'hanging up') client.destroy()
    if (state !== 'open') return
    const upstream = connect(Number(port), hostname)
    keep(upstream)
    upstreams.add(upstream)
    upstream.on('close', () => upstreams.delete(upstream))
    forward(client, upstream)
    forward(upstream, client)
  })
  const breakAll = () => {
    for (const socket of sockets) socket.destroy()
  }
  const listen = async (place: number) => {
    server.listen(place, '127.0.0.1')
    await once(server, 'listening')
    const address = server.address()
    return typeof address === 'object' && address ? address.port : 0
  }
  const url = new URL(target)
  const place = await listen(0)
  url.hostname = '127.0.0.1'
  url.port = String(place)
  return {
    url: url.href,
    cut() {
      server.close()
      breakAll()
    },
    hangUp() {
      state = 'hanging up'
      breakAll()
    },
    stall() {
      state = 'stalled'
    },
    mute() {
      for (const upstream of upstreams) muted.add(upstream)
    },
    async heal() {
      breakAll()
      state = 'open'
      if (!server.listening) await listen(place)
    },
    async [Symbol.asyncDispose]() {
      breakAll()
      if (!server.listening) return
      server.close()
      await once(server, 'close')
    },
  }
}
