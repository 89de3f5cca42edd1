import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { createClient } from 'graphql-ws'
import { WebSocket } from 'ws'
import type { Cluster } from '../../src/cluster/start.ts'

/** A whole Holdfast in a process of its own, driven through its API. Disposing of it stops it. */
export interface Holdfast extends AsyncDisposable {
  pid: number
  url: string
  /** Runs one operation; throws what the answer holds under `errors`. */
  ask: (query: string, variables?: Record<string, unknown>) => Promise<Record<string, never>>
  /** Protects a server in a new vault; resolves with the backup instance's id when protection is configured. */
  protect: (cluster: Cluster, vaultDirectory: string) => Promise<string>
  /** Takes one backup; resolves with its wall time from the request to its end, ms. */
  backUp: (instanceId: string) => Promise<number>
  /** Waits for a job's end; throws when it is not a success. */
  ended: (jobId: string) => Promise<void>
}

/** Starts Holdfast with its embedded PostgreSQL on a free port. */
export async function startHoldfast(folder: string): Promise<Holdfast> {
  await mkdir(folder, { recursive: true })
  const main = fileURLToPath(new URL('../../src/main.ts', import.meta.url))
  // The flags of "npm start".
  const child = spawn(process.execPath, ['--max-semi-space-size=4', '--no-incremental-marking', main], {
    env: {
      PATH: process.env.PATH,
      MALLOC_ARENA_MAX: '2',
      HOLDFAST_DATA_DIR: join(folder, 'data'),
      HOLDFAST_PORT: '0',
    },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const url = await addressOf(child)
  const sockets = createClient({ url: url.replace('http', 'ws'), webSocketImpl: WebSocket })
  const ask = async (query: string, variables: Record<string, unknown> = {}) => {
    const response = await fetch(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ query, variables }),
    })
    const { data, errors } = await response.json()
    if (errors) throw new Error(JSON.stringify(errors))
    return data
  }
  const ended = (jobId: string) => endOf(sockets, jobId)
  return {
    pid: child.pid ?? 0,
    url,
    ask,
    ended,
    protect: (cluster, directory) => protect(ask, ended, cluster, directory),
    async backUp(instanceId) {
      const startedAt = performance.now()
      const { backUpNow } = await ask(
        `mutation ($input: BackUpNowInput!) { backUpNow(input: $input) { ... on BackUpNowPayload { job { id } } ... on Refusal { message } } }`,
        { input: { backupInstance: instanceId } },
      )
      await ended(jobOf(backUpNow))
      return performance.now() - startedAt
    },
    async [Symbol.asyncDispose]() {
      await sockets.dispose()
      const exit = once(child, 'exit')
      child.kill('SIGTERM')
      await exit
    },
  }
}

async function addressOf(child: ChildProcess): Promise<string> {
  if (!child.stdout) throw new Error('no output')
  let text = ''
  for await (const chunk of child.stdout.setEncoding('utf8')) {
    text += chunk
    const found = /"address":"([^"]+)"/.exec(text)?.[1]
    if (found) {
      child.stdout.resume()
      return found
    }
  }
  throw new Error(`Holdfast ended: ${text}`)
}

function endOf(client: ReturnType<typeof createClient>, jobId: string): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  let last: { status?: string; error?: unknown } = {}
  client.subscribe<{ jobChanged: { status: string; error: unknown } }>(
    { query: `subscription { jobChanged(id: "${jobId}") { status error { code details } } }` },
    {
      next: ({ data }) => {
        last = data?.jobChanged ?? {}
      },
      error: reject,
      complete: () => {
        if (last.status?.startsWith('COMPLETED')) resolve()
        else reject(new Error(JSON.stringify(last)))
      },
    },
  )
  return promise
}

async function protect(
  ask: Holdfast['ask'],
  ended: Holdfast['ended'],
  cluster: Cluster,
  directory: string,
): Promise<string> {
  const { createVault } = await ask(
    `mutation ($input: CreateVaultInput!) { createVault(input: $input) { ... on CreateVaultPayload { vault { id } } ... on Refusal { message } } }`,
    { input: { name: 'bench', location: { directory } } },
  )
  const { registerServer } = await ask(
    `mutation ($input: RegisterServerInput!) { registerServer(input: $input) { ... on RegisterServerPayload { server { id } } ... on Refusal { message } } }`,
    {
      input: {
        name: 'bench',
        host: cluster.host,
        port: cluster.port,
        username: cluster.superuser,
        password: cluster.password,
        tlsMode: 'DISABLE',
      },
    },
  )
  const { configureProtection } = await ask(
    `mutation ($input: ConfigureProtectionInput!) { configureProtection(input: $input) { ... on ConfigureProtectionPayload { backupInstance { id } job { id } } ... on Refusal { message } } }`,
    { input: { vault: idIn(createVault, 'vault'), server: idIn(registerServer, 'server') } },
  )
  await ended(jobOf(configureProtection))
  return idIn(configureProtection, 'backupInstance')
}

function jobOf(result: unknown): string {
  return idIn(result, 'job')
}

/** The id below a field of a mutation's payload; throws with the whole answer when it is a refusal. */
function idIn(result: unknown, field: string): string {
  const value = Object(result)[field]?.id
  if (typeof value !== 'string') throw new Error(JSON.stringify(result))
  return value
}
