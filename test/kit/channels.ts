import { createServer, type IncomingHttpHeaders } from 'node:http'
import type { AddressInfo } from 'node:net'
import { connectDatabase, type Database } from '../../src/database/connect.ts'
import { startListener } from '../../src/database/listen.ts'
import { notificationDeliveries } from '../../src/database/tables/notification.ts'
import { encodeNodeId } from '../../src/graphql/schema/ids.ts'
import { type CreateChannel, createChannel } from '../../src/notification/channel/create.ts'
import { type DeliveryOptions, startDeliveries } from '../../src/worker/delivery/deliver.ts'
import { rememberingLog } from './runner.ts'
import { waitFor } from './wait-for.ts'

/** Seals nothing: for tests that keep no secret. */
export const plainSecrets = { seal: (plain: string) => plain, open: (sealed: string) => sealed }

/** A webhook channel that wants everything, unless told otherwise. */
export function addWebhook(
  database: Database,
  { url = 'https://alerts.example.com/hook', ...rest }: Partial<CreateChannel> & { url?: string } = {},
) {
  return createChannel(database, {
    name: `channel ${crypto.randomUUID()}`,
    target: { kind: 'WEBHOOK', url },
    kinds: null,
    minSeverity: 'INFO',
    rules: { allowHttp: false, canMail: true },
    secrets: plainSecrets,
    actor: 'tester',
    now: new Date(),
    ...rest,
  })
}

export interface HookRequest {
  method: string
  path: string
  headers: IncomingHttpHeaders
  body: string
}

/** A receiver of webhooks on this machine. */
export interface Hook extends AsyncDisposable {
  url: string
  /** Everything that was received, in order. */
  received: HookRequest[]
  /** How it answers from now on: a status, with a place to go to for a redirect; null never answers. */
  answer: { status: number; location?: string } | null
  /** How many requests were open at once, at the most. */
  mostAtOnce: () => number
}

/** Starts a receiver that answers 204. */
export async function startHook(): Promise<Hook> {
  const received: HookRequest[] = []
  let open = 0
  let mostOpen = 0
  const server = createServer((request, response) => {
    const chunks: Buffer[] = []
    mostOpen = Math.max(mostOpen, ++open)
    response.on('close', () => open--)
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      const { method = '', url: path = '', headers } = request
      received.push({ method, path, headers, body: Buffer.concat(chunks).toString() })
      if (!hook.answer) return
      const { status, location } = hook.answer
      response.writeHead(status, location === undefined ? {} : { location }).end('thank you')
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  // Listening on a port, it has an address.
  const { port } = server.address() as AddressInfo
  const hook: Hook = {
    url: `http://127.0.0.1:${port}/hook?token=t0ken-of-the-hook`,
    received,
    answer: { status: 204 },
    mostAtOnce: () => mostOpen,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
  return hook
}

/** The deliveries, oldest first, once there are some and the condition holds for all. */
export async function deliveriesThat(
  database: Database,
  what: string,
  holds: (delivery: typeof notificationDeliveries.$inferSelect) => boolean,
) {
  return waitFor(what, async () => {
    const rows = await database.select().from(notificationDeliveries).orderBy(notificationDeliveries.createdAt)
    return rows.length > 0 && rows.every(holds) && rows
  })
}

export interface Deliverer extends AsyncDisposable {
  /** Everything it has logged. */
  logged: () => string
  /** Takes its database away in the middle of what it does, as a crash would, and stops it. */
  lose: () => Promise<void>
}

/** The deliveries of one worker, with a pool and a listener of its own. */
export async function startDeliverer(databaseUrl: string, options: Partial<DeliveryOptions> = {}): Promise<Deliverer> {
  const { database, ...connection } = connectDatabase(databaseUrl)
  const listener = await startListener(databaseUrl)
  const log = rememberingLog()
  const deliveries = startDeliveries({
    database,
    listener,
    secrets: plainSecrets,
    now: () => new Date(),
    log,
    nodeId: encodeNodeId,
    mailServer: null,
    ...options,
  })
  let isLost = false
  const stop = async () => {
    await deliveries[Symbol.asyncDispose]()
    await listener[Symbol.asyncDispose]()
  }
  return {
    logged: () => log.said.join(''),
    async lose() {
      isLost = true
      await connection[Symbol.asyncDispose]()
      await stop()
    },
    async [Symbol.asyncDispose]() {
      if (isLost) return
      await stop()
      await connection[Symbol.asyncDispose]()
    },
  }
}
