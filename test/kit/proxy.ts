import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'

/** A way to a server that can go silent: nothing passes any more, and neither side is told. */
export interface Proxy extends AsyncDisposable {
  port: number
  goSilent(): void
  /** New connections pass again; those that went silent stay so. */
  passAgain(): void
}

/** Opens a way to a port of this machine. */
export async function openProxy(targetPort: number): Promise<Proxy> {
  const sockets = new Set<Socket>()
  let isSilent = false
  const server = createServer((near) => {
    const far = connect(targetPort, '127.0.0.1')
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(from)
      from.on('error', () => {})
      from.on('close', () => sockets.delete(from))
      if (!isSilent) from.pipe(to)
    }
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  return {
    port: address.port,
    goSilent() {
      isSilent = true
      for (const socket of sockets) socket.unpipe().pause()
    },
    passAgain() {
      isSilent = false
    },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      server.close()
      await once(server, 'close')
    },
  }
}
