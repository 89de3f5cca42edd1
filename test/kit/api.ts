import { join } from 'node:path'
import { drizzle } from 'drizzle-orm/postgres-js'
import { createClient } from 'graphql-ws'
import { pino } from 'pino'
import postgres from 'postgres'
import { WebSocket } from 'ws'
import type { Database } from '../../src/database/connect.ts'
import { startListener } from '../../src/database/listen.ts'
import type { Services } from '../../src/graphql/context.ts'
import { startServer } from '../../src/graphql/edge/server.ts'
import { usualRetentionLimits } from '../../src/policy/check-rules.ts'
import { openSecretBox } from '../../src/secret/secret-box.ts'
import { freshDatabase } from './fresh-database.ts'
import { quietHealth } from './quiet-health.ts'
import { temporaryFolder } from './temporary-folder.ts'

export interface Answer {
  data: Record<string, unknown> | null
  errors?: { message: string; path?: unknown[]; extensions: { code: string } }[]
}

/** The whole API over a database of its own; no worker performs the jobs. */
export interface Api extends AsyncDisposable {
  database: Database
  databaseUrl: string
  secrets: Services['secrets']
  /** A folder for directories that tests name. */
  folder: string
  url: string
  socketUrl: string
  /** What the API takes for the present; tests move it. */
  clock: { now: Date }
  /** For how long it lets policies keep recovery points; tests change it. */
  retentionLimits: Services['retentionLimits']
  /** What it allows of notification channels; tests change it. */
  channelRules: Services['channelRules']
  /** The statements that the API has sent, in order. */
  statements: string[]
  /** Streams that the API has not freed yet. */
  openStreams: () => number
  ask: (query: string, variables?: Record<string, unknown>) => Promise<Answer>
  /** Performs a mutation and answers what it answered, all its fields of one level down. */
  mutate: (name: string, input: Record<string, unknown>, selection: string) => Promise<Record<string, unknown>>
  /** Starts a subscription over a WebSocket of its own; to be returned. */
  watch: (
    query: string,
    variables?: Record<string, unknown>,
  ) => AsyncIterableIterator<Answer> & { end: () => Promise<void> }
}

/** Starts the API on a new database, or once more on that of another one, which must live longer. */
export async function startApi(other?: Pick<Api, 'databaseUrl'>): Promise<Api> {
  const fresh = other ? { url: other.databaseUrl, [Symbol.asyncDispose]: async () => {} } : await freshDatabase()
  const folder = await temporaryFolder()
  const statements: string[] = []
  const client = postgres(fresh.url, { onnotice: () => {}, debug: (_connection, query) => void statements.push(query) })
  const database: Database = drizzle({ client, casing: 'snake_case' })
  const listener = await startListener(fresh.url)
  const secrets = await openSecretBox(join(folder.path, 'key'))
  const clock = { now: new Date('2026-03-01T12:00:00.000Z') }
  const retentionLimits = { ...usualRetentionLimits }
  const channelRules = { allowHttp: false, canMail: true }
  let open = 0
  const subscribe: Services['listener']['subscribe'] = (channel, onHint) => {
    const unsubscribe = listener.subscribe(channel, onHint)
    open += 1
    let isOpen = true
    return () => {
      if (isOpen) open -= 1
      isOpen = false
      unsubscribe()
    }
  }
  const server = await startServer({
    services: {
      database,
      listener: { ...listener, subscribe },
      secrets,
      now: () => clock.now,
      removalGraceMs: 3_600_000,
      retentionLimits,
      channelRules,
      metadataBackupMs: 24 * 3_600_000,
    },
    host: '127.0.0.1',
    port: 0,
    apiToken: null,
    log: pino({ level: process.env.HOLDFAST_TEST_LOG ?? 'silent' }),
    ...quietHealth,
  })
  const url = `http://127.0.0.1:${server.port}/graphql`
  const socketUrl = url.replace('http', 'ws')
  const ask = (query: string, variables?: Record<string, unknown>) => post(url, query, variables)
  return {
    database,
    databaseUrl: fresh.url,
    secrets,
    folder: folder.path,
    url,
    socketUrl,
    clock,
    retentionLimits,
    channelRules,
    statements,
    openStreams: () => open,
    ask,
    async mutate(name, input, selection) {
      const type = `${name.charAt(0).toUpperCase()}${name.slice(1)}`
      const answer = await ask(
        `mutation ($input: ${type}Input!) { ${name}(input: $input) { __typename ... on Refusal { message recommendedActions } ${selection} } }`,
        { input },
      )
      if (!answer.data) throw new Error(JSON.stringify(answer.errors))
      return objectOf(answer.data[name])
    },
    watch: (query, variables) => watch(socketUrl, query, variables),
    async [Symbol.asyncDispose]() {
      await server[Symbol.asyncDispose]()
      await listener[Symbol.asyncDispose]()
      await client.end({ timeout: 1 })
      await fresh[Symbol.asyncDispose]()
      await folder[Symbol.asyncDispose]()
    },
  }
}

async function post(url: string, query: string, variables: Record<string, unknown> = {}): Promise<Answer> {
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', accept: 'application/graphql-response+json' },
    body: JSON.stringify({ query, variables }),
  })
  const { data = null, ...rest } = objectOf(await response.json())
  // What a GraphQL server answers.
  return { data, ...rest } as Answer
}

function watch(url: string, query: string, variables: Record<string, unknown> = {}) {
  const client = createClient({ url, webSocketImpl: WebSocket, retryAttempts: 0 })
  const results = client.iterate({ query, variables })
  const end = async () => {
    await results.return?.()
    await client.dispose()
  }
  // What the client iterates over are answers of a GraphQL server.
  return Object.assign(results as unknown as AsyncIterableIterator<Answer>, { end })
}

/** What lies at a path such as "createVault.vault.id" of an answer. */
export function at(answer: unknown, path: string): unknown {
  return path.split('.').reduce((value, name) => objectOf(value)[name], answer)
}

export function textAt(answer: unknown, path: string): string {
  return String(at(answer, path))
}

export function listAt(answer: unknown, path: string): Record<string, unknown>[] {
  const found = at(answer, path)
  if (!Array.isArray(found)) throw new Error(`There is no list at ${path} of ${JSON.stringify(answer)}`)
  return found
}

function objectOf(value: unknown): Record<string, unknown> {
  if (typeof value !== 'object' || value === null) throw new Error(`Not an object: ${JSON.stringify(value)}`)
  // Any object can be read by names.
  return value as Record<string, unknown>
}
