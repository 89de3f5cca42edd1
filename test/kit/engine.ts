import { readdir, readFile } from 'node:fs/promises'
import { Readable, Writable } from 'node:stream'
import postgres from 'postgres'
import type { Cluster } from '../../src/cluster/start.ts'
import type { ServerAddress } from '../../src/engine/address.ts'
import { type DumpFacts, dumpDatabase } from '../../src/engine/dump.ts'
import { EngineError } from '../../src/engine/engine-error.ts'
import { findTools, type Toolset } from '../../src/engine/find-tools.ts'
import { type DatabaseReport, inspectServer } from '../../src/engine/inspect.ts'

/** Nobody aborts. */
export const never = new AbortController().signal

/** How the engine reaches a server of a test, as its superuser unless told otherwise. */
export function addressOf(
  { host, port, superuser, password }: Pick<Cluster, 'host' | 'port' | 'superuser' | 'password'>,
  changes: Partial<ServerAddress> = {},
): ServerAddress {
  return {
    host,
    port,
    username: superuser,
    password,
    maintenanceDatabase: 'postgres',
    tlsMode: 'DISABLE',
    caCertificate: null,
    ...changes,
  }
}

/** A connection of a test's own, closed when disposed of; the database's name may hold anything. */
export function connect(cluster: Cluster, database = 'postgres'): postgres.Sql & AsyncDisposable {
  const { host, port, superuser: user, password } = cluster
  const sql = postgres({ host, port, user, password, database, max: 1, fetch_types: false, onnotice: () => {} })
  return Object.assign(sql, { [Symbol.asyncDispose]: () => sql.end({ timeout: 1 }) })
}

/** Runs SQL in a database as the superuser. */
export async function run(cluster: Cluster, database: string, statements: string): Promise<postgres.Row[]> {
  await using sql = connect(cluster, database)
  return await sql.unsafe(statements)
}

/** A new database with a name of its own, or the given one; it lives as long as its server. */
export async function createDatabase(cluster: Cluster, statements = '', name = `d${crypto.randomUUID()}`) {
  await run(cluster, 'postgres', `create database "${name.replaceAll('"', '""')}"`)
  if (statements) await run(cluster, name, statements)
  return name
}

/** The installed PostgreSQL programs that suit the installed server. */
export async function installedTools(): Promise<Toolset> {
  const tools = (await findTools({ extraDirectories: [] })).at(-1)
  if (!tools) throw new Error('No PostgreSQL programs are installed.')
  return tools
}

/** A sink that keeps everything. */
export function memorySink(): Writable & { bytes: () => Buffer } {
  const chunks: Buffer[] = []
  const sink = new Writable({
    write(chunk: Buffer, _, done) {
      chunks.push(chunk)
      done()
    },
  })
  return Object.assign(sink, { bytes: () => Buffer.concat(chunks) })
}

/** A sink that takes the first piece and then nothing, until it is released: whoever writes to it waits. */
export function stalledSink() {
  const reached = Promise.withResolvers<void>()
  const released = Promise.withResolvers<void>()
  const sink = new Writable({
    highWaterMark: 1,
    write(_chunk, _, done) {
      reached.resolve()
      released.promise.then(() => done())
    },
  })
  return { sink, reached: reached.promise, release: released.resolve }
}

export interface Archive {
  bytes: Buffer
  facts: DumpFacts
  source: DatabaseReport
}

/** A whole dump of one database in memory, with what its server says about the database. */
export async function archiveOf(cluster: Cluster, database: string): Promise<Archive> {
  const address = addressOf(cluster)
  const sink = memorySink()
  const facts = await dumpDatabase(address, {
    database,
    tools: await installedTools(),
    sink,
    signal: never,
    lockWaitMs: 5000,
  })
  const source = (await inspectServer(address)).databases.find(({ name }) => name === database)
  if (!source) throw new Error(`The server does not list ${database}.`)
  return { bytes: sink.bytes(), facts, source }
}

/** The bytes as a stream of small pieces, as they come from a storage. */
export function streamOf(bytes: Buffer, pieceBytes = 64 * 1024): Readable {
  const pieces = Array.from({ length: Math.ceil(bytes.length / pieceBytes) }, (_, at) =>
    bytes.subarray(at * pieceBytes, (at + 1) * pieceBytes),
  )
  return Readable.from(pieces, { objectMode: false })
}

/** What the promise failed with, which has to be an EngineError. */
export async function failureOf(promise: Promise<unknown>): Promise<EngineError> {
  const cause = await promise.then(
    () => new Error('It succeeded.'),
    (error: unknown) => error,
  )
  if (cause instanceof EngineError) return cause
  throw cause
}

export interface RunningProcess {
  pid: number
  command: string
  environment: string
}

/** Processes of this machine whose command line holds a text. */
export async function processesWith(text: string): Promise<RunningProcess[]> {
  const found: RunningProcess[] = []
  for (const entry of await readdir('/proc')) {
    const pid = Number(entry)
    if (!Number.isInteger(pid)) continue
    const command = await readFile(`/proc/${pid}/cmdline`, 'latin1').catch(() => '')
    if (!command.includes(text)) continue
    const environment = await readFile(`/proc/${pid}/environ`, 'latin1').catch(() => '')
    found.push({ pid, command: command.replaceAll('\0', ' '), environment })
  }
  return found
}

/** The running pg_dump of a server, told by the address in its environment. */
export async function dumpsOf(cluster: Pick<Cluster, 'port'>): Promise<RunningProcess[]> {
  const all = await processesWith('pg_dump')
  return all.filter(({ environment }) => environment.includes(`PGPORT=${cluster.port}\0`))
}
