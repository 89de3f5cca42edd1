import { randomBytes } from 'node:crypto'
import { access, open, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { Logger } from 'pino'
import postgres from 'postgres'
import { embeddedBinaries } from '../cluster/binaries.ts'
import { type Cluster, type ClusterOptions, startCluster } from '../cluster/start.ts'

/** The metadata database that Holdfast runs itself. Disposing of it stops it. */
export interface EmbeddedDatabase extends AsyncDisposable {
  /** Holds the password. The same for as long as this runs, restarts included. */
  url: string
}

const name = 'holdfast'
const longestPauseMs = 10_000

/**
 * Starts the embedded PostgreSQL under `<dataDirectory>/metadata`, making it at the first start; resolves when its database
 * accepts connections. When it ends unexpectedly it is started again, at the same address, until disposed of.
 */
export async function startEmbeddedDatabase({
  dataDirectory,
  log,
}: {
  dataDirectory: string
  log?: Logger
}): Promise<EmbeddedDatabase> {
  const dataDir = join(dataDirectory, 'metadata')
  const options = {
    binDir: await embeddedBinaries(),
    dataDir,
    superuser: name,
    password: await passwordOf(dataDirectory, dataDir),
    settings: { log_checkpoints: 'off' },
    onSlowRecovery: () =>
      log?.warn('The metadata database still recovers what it held when it was stopped: waiting on.'),
  }
  const first = await startCluster(options)
  const url = first.url(name)
  try {
    await makeDatabase(first)
  } catch (cause) {
    await first.stop()
    throw cause
  }
  const disposed = new AbortController()
  const supervised = supervise(first, { ...options, port: first.port }, disposed.signal, log)
  return {
    url,
    async [Symbol.asyncDispose]() {
      disposed.abort()
      await supervised
    },
  }
}

async function supervise(first: Cluster, options: ClusterOptions, disposed: AbortSignal, log?: Logger): Promise<void> {
  const toldToStop = new Promise<'stop'>((tell) => disposed.addEventListener('abort', () => tell('stop')))
  let running: Cluster | undefined = first
  let failures = 0
  while (!disposed.aborted) {
    try {
      running ??= await startCluster({ ...options, signal: disposed })
      failures = 0
      if ((await Promise.race([running.exited, toldToStop])) === 'stop') break
      log?.error('The metadata database ended unexpectedly and is started again.')
    } catch (cause) {
      if (disposed.aborted) break
      log?.error({ err: cause }, 'The metadata database could not be started again; trying on.')
      const pauseMs = Math.min(100 * 2 ** failures++, longestPauseMs)
      await delay(pauseMs, undefined, { signal: disposed }).catch(() => {})
    }
    running = undefined
  }
  await running?.stop()
}

async function makeDatabase(cluster: Cluster): Promise<void> {
  const sql = postgres(cluster.url('postgres'), { max: 1, onnotice: () => {} })
  try {
    const there = await sql`select from pg_database where datname = ${name}`
    if (there.length === 0) await sql`create database ${sql(name)}`
  } finally {
    await sql.end({ timeout: 5 })
  }
}

/** Made and made durable before the database is, so that there is never a database without its password. */
async function passwordOf(dataDirectory: string, dataDir: string): Promise<string> {
  const path = join(dataDirectory, 'metadata.password')
  const known = (await readFile(path, 'utf8').catch(ifMissing))?.trim()
  if (known) return known
  const isDatabaseThere = await access(join(dataDir, 'PG_VERSION')).then(
    () => true,
    () => false,
  )
  if (isDatabaseThere)
    throw new Error(`${path} is missing or empty, and without it ${dataDir} cannot be used: put it back.`)
  const password = randomBytes(24).toString('base64url')
  const file = await open(path, 'w', 0o600)
  try {
    await file.writeFile(`${password}\n`)
    await file.sync()
  } finally {
    await file.close()
  }
  return password
}

function ifMissing(cause: NodeJS.ErrnoException): undefined {
  if (cause.code !== 'ENOENT') throw cause
}
