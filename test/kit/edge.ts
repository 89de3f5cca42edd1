import { Writable } from 'node:stream'
import { buildSchema, type GraphQLFieldResolver, GraphQLObjectType, type GraphQLSchema } from 'graphql'
import { pino } from 'pino'
import type { GraphqlContext, Services } from '../../src/graphql/context.ts'
import { type Server, type ServerOptions, startServer } from '../../src/graphql/edge/server.ts'
import { Refusal } from '../../src/refusal.ts'
import { quietHealth } from './quiet-health.ts'

/** A refusal that no union of the schema names. */
class Unforeseen extends Refusal {}

/** What the edge's tests watch besides the answers. */
export interface Observed {
  /** Subscriptions whose source is still held. */
  openSources: number
  /** Mutations that were performed. */
  pokes: number
  /** Lets every waiting `slow` query answer. */
  release: () => void
  /** Resolves when a `slow` query has begun. */
  begun: Promise<void>
  /** Log lines. */
  lines: Record<string, unknown>[]
  /** Loads made by each event of `ticks`, told apart by context. */
  contexts: Set<object>
}

export interface Edge extends AsyncDisposable {
  server: Server
  url: string
  socketUrl: string
  observed: Observed
}

/** The edge on a free port, before a schema made for its tests; what it is given besides overrides the defaults. */
export async function startEdge(overrides: Partial<ServerOptions> = {}): Promise<Edge> {
  const { promise: released, resolve: release } = Promise.withResolvers<void>()
  const { promise: begun, resolve: begin } = Promise.withResolvers<void>()
  const observed: Observed = { openSources: 0, pokes: 0, release, begun, lines: [], contexts: new Set() }
  const log = pino(
    new Writable({
      write(line, _encoding, done) {
        observed.lines.push(JSON.parse(String(line)))
        done()
      },
    }),
  )
  const server = await startServer({
    schema: testSchema(observed, released, begin),
    // The test's schema asks for no service.
    services: {} as Services,
    host: '127.0.0.1',
    port: 0,
    apiToken: null,
    log,
    ...quietHealth,
    ...overrides,
  })
  return {
    server,
    url: `http://127.0.0.1:${server.port}/graphql`,
    socketUrl: `ws://127.0.0.1:${server.port}/graphql`,
    observed,
    async [Symbol.asyncDispose]() {
      release()
      await server[Symbol.asyncDispose]()
    },
  }
}

/** Posts an operation as a GraphQL client does. */
export async function post(
  url: string,
  query: string,
  { headers = {}, variables }: { headers?: Record<string, string>; variables?: Record<string, unknown> } = {},
) {
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', accept: 'application/graphql-response+json', ...headers },
    body: JSON.stringify({ query, variables }),
  })
  const text = await response.text()
  return { status: response.status, headers: response.headers, text, body: text === '' ? null : JSON.parse(text) }
}

function testSchema(observed: Observed, released: Promise<void>, begin: () => void): GraphQLSchema {
  const schema = buildSchema(`
    type Query { hello(name: String = "you"): String! me: Query! viewer: String! fail: Int! refuse: Int! slow: String! }
    type Mutation { poke: Int! }
    type Subscription { ticks(to: Int!): Int! silence: Int! trouble: Int! }
  `)
  const resolve = (type: string, field: string, resolver: GraphQLFieldResolver<unknown, GraphqlContext>) => {
    const found = schema.getType(type)
    if (found instanceof GraphQLObjectType) Object.assign(found.getFields()[field] ?? {}, { resolve: resolver })
  }
  const subscribe = (field: string, start: (args: { to?: number }) => AsyncIterableIterator<unknown>) => {
    const found = schema.getSubscriptionType()?.getFields()[field]
    Object.assign(found ?? {}, { subscribe: (_root: unknown, args: { to?: number }) => start(args) })
  }
  resolve('Query', 'hello', (_root, { name }) => `Hello, ${name}.`)
  resolve('Query', 'me', () => ({}))
  resolve('Query', 'viewer', (_root, _args, { principal }) => principal.name)
  resolve('Query', 'fail', () => {
    const cause = Object.assign(new Error('Failed query: select 1\nparams: hunter2'), {
      query: 'select 1',
      params: ['hunter2'],
    })
    throw cause
  })
  resolve('Query', 'refuse', () => {
    throw new Unforeseen('The secret is hunter2.', [])
  })
  resolve('Query', 'slow', async () => {
    begin()
    await released
    return 'done'
  })
  resolve('Mutation', 'poke', () => {
    observed.pokes += 1
    return observed.pokes
  })
  resolve('Subscription', 'ticks', (event, _args, context) => {
    observed.contexts.add(context)
    return event
  })
  resolve('Subscription', 'silence', (event) => event)
  resolve('Subscription', 'trouble', (event) => event)
  subscribe('ticks', ({ to = 0 }) => source(observed, to, 'end'))
  subscribe('silence', () => source(observed, 0, 'wait'))
  subscribe('trouble', () => source(observed, 1, 'fail'))
  return schema
}

/** Counts from 1; then ends, waits for ever or fails; counted as open until it ends or is returned. */
function source(observed: Observed, to: number, then: 'end' | 'wait' | 'fail'): AsyncIterableIterator<unknown> {
  observed.openSources += 1
  const { promise: returned, resolve: leave } = Promise.withResolvers<void>()
  let at = 0
  let isOpen = true
  const close = () => {
    if (isOpen) observed.openSources -= 1
    isOpen = false
    leave()
  }
  return {
    [Symbol.asyncIterator]() {
      return this
    },
    async next() {
      at += 1
      if (at <= to) return { done: false, value: at }
      if (then === 'wait') await returned
      close()
      if (then === 'fail') throw new Error('The disk holds hunter2.')
      return { done: true, value: undefined }
    },
    async return() {
      close()
      return { done: true, value: undefined }
    },
  }
}
