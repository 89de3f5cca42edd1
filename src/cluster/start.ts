import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { open, readFile, rename, stat } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join, resolve } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { promisify } from 'node:util'
import { type Account, launchAs } from './account.ts'
import { initialiseCluster, programEnvironment } from './initialise.ts'
import { takeOver } from './take-over.ts'

const run = promisify(execFile)

/** The server ended, or was not ready in time; its message holds what the server wrote last. */
export class ClusterNotStarted extends Error {}

export interface ClusterOptions {
  /** The folder of initdb and postgres. */
  binDir: string
  /** Its parent must exist or be creatable; the directory is made when missing. The caller alone uses it. */
  dataDir: string
  /** Absent or 0: a free one. */
  port?: number
  /** A loopback address; default 127.0.0.1. */
  host?: string
  superuser: string
  password: string
  settings?: Record<string, string>
  /** A stopped data directory of the same superuser and password, to copy instead of running initdb. */
  template?: string
  /** Default: server.log in the data directory. */
  logFile?: string
  /** Gives up starting. */
  signal?: AbortSignal
  /** How long it may take to begin, and to become ready from then on unless it is recovering; default 120 s. */
  patienceMs?: number
  /** Told once when it recovers for longer than that: it is waited for all the same. */
  onSlowRecovery?: () => void
}

/** A running private PostgreSQL server. Disposing of it stops it. */
export interface Cluster extends AsyncDisposable {
  host: string
  port: number
  superuser: string
  password: string
  dataDir: string
  pid: number
  /** The superuser's connection URL, password included. */
  url(database: string): string
  /** Resolves when the server ends without having been told to; never otherwise. */
  exited: Promise<void>
  /** Resolves when the server is gone: "fast" (default) ends sessions and writes a checkpoint, "immediate" does not. */
  stop(mode?: 'fast' | 'immediate'): Promise<void>
}

const startPatienceMs = 120_000
const stopPatienceMs = 30_000
const largestLogBytes = 10_000_000
const longestSocketFolder = 80

/**
 * Starts PostgreSQL on a data directory, initialising it when empty; resolves when it accepts connections. As root it runs
 * as an unprivileged user. A server that a crash of ours left running on the same directory is stopped first.
 * Throws with the end of the server's log when it cannot start within 120 s; one that recovers from a crash may take longer,
 * as it would begin anew when it was stopped.
 */
export async function startCluster(options: ClusterOptions): Promise<Cluster> {
  const dataDir = resolve(options.dataDir)
  const account = await initialiseCluster({ ...options, dataDir })
  await takeOver(dataDir)
  for (let attempt = 1; ; attempt++) {
    options.signal?.throwIfAborted()
    const port = options.port || (await freePort(options.host ?? '127.0.0.1'))
    try {
      return await launch({ ...options, dataDir, port }, account)
    } catch (cause) {
      const lostTheRace = !options.port && cause instanceof Error && cause.message.includes('could not bind')
      if (!lostTheRace || attempt === 5) throw cause
    }
  }
}

async function launch(options: ClusterOptions & { port: number }, account: Account): Promise<Cluster> {
  const { dataDir, port, host = '127.0.0.1', superuser, password } = options
  const log = await openLog(options.logFile ?? join(dataDir, 'server.log'), account)
  const server = await spawnServer({ ...options, host }, account, log.fd).finally(log.close)
  const ended = new Promise<void>((done) => {
    server.once('exit', () => done())
    server.once('error', () => done())
  })
  let isStopping = false
  const stop = async (mode: 'fast' | 'immediate' = 'fast') => {
    isStopping = true
    await stopServer(server, ended, mode)
  }
  try {
    await accepting(server, options)
  } catch (cause) {
    await stop('immediate')
    throw new ClusterNotStarted(`PostgreSQL did not start on ${dataDir}: ${await log.written()}`, { cause })
  }
  return {
    host,
    port,
    superuser,
    password,
    dataDir,
    pid: server.pid ?? 0,
    url: (database) =>
      `postgres://${encodeURIComponent(superuser)}:${encodeURIComponent(password)}@${host}:${port}/${encodeURIComponent(database)}`,
    exited: new Promise((done) => ended.then(() => isStopping || done())),
    stop,
    [Symbol.asyncDispose]: () => stop(),
  }
}

async function spawnServer(
  { binDir, dataDir, host, port, settings }: ClusterOptions,
  account: Account,
  logFd: number,
): Promise<ChildProcess> {
  const all = {
    listen_addresses: host,
    port: String(port),
    // Sockets live in the private data directory, never in a folder that others may write; a path too long for them goes without.
    unix_socket_directories: dataDir.length > longestSocketFolder ? '' : dataDir,
    ...settings,
  }
  const program = [join(binDir, 'postgres'), '-D', dataDir]
  for (const [name, value] of Object.entries(all)) program.push('-c', `${name}=${value}`)
  const [first = '', ...rest] = (await canDieWithParent()) ? ['setpriv', '--pdeathsig=INT', '--', ...program] : program
  const { command, args, identity } = launchAs(account, first, rest)
  // A group of its own: a Ctrl-C meant for us must not stop the database under us.
  return spawn(command, args, {
    ...identity,
    env: programEnvironment,
    cwd: '/',
    detached: true,
    stdio: ['ignore', logFd, logFd],
  })
}

let dyingWithParent: Promise<boolean> | undefined

function canDieWithParent(): Promise<boolean> {
  dyingWithParent ??= run('setpriv', ['--pdeathsig=INT', '--', 'true']).then(
    () => true,
    () => false,
  )
  return dyingWithParent
}

async function accepting(
  server: ChildProcess,
  { dataDir, signal, patienceMs = startPatienceMs, onSlowRecovery }: ClusterOptions,
): Promise<void> {
  const until = Date.now() + patienceMs
  let isSlow = false
  for (;;) {
    if (server.pid === undefined) throw new Error('the program could not be run')
    if (server.exitCode !== null || server.signalCode !== null) throw new Error('the program ended')
    const lines = (await readFile(join(dataDir, 'postmaster.pid'), 'utf8').catch(() => '')).split('\n')
    const state = Number(lines[0]) === server.pid ? lines[7]?.trim() : undefined
    if (state === 'ready') return
    if (!isSlow && Date.now() > until) {
      isSlow = true
      if (state === 'starting') onSlowRecovery?.()
    }
    if (isSlow && state !== 'starting') throw new Error(`not ready within ${patienceMs / 1000} s`)
    await delay(15, undefined, { ...(signal && { signal }) })
  }
}

async function stopServer(server: ChildProcess, ended: Promise<void>, mode: 'fast' | 'immediate'): Promise<void> {
  const signals = mode === 'fast' ? (['SIGINT', 'SIGQUIT', 'SIGKILL'] as const) : (['SIGQUIT', 'SIGKILL'] as const)
  for (const signal of signals) {
    if (server.pid === undefined || server.exitCode !== null || server.signalCode !== null) return
    server.kill(signal)
    const patience = new AbortController()
    await Promise.race([
      ended,
      delay(signal === 'SIGINT' ? stopPatienceMs : 5_000, undefined, { signal: patience.signal }).catch(() => {}),
    ])
    patience.abort()
  }
}

/** The server's log, opened for appending; a large one is put aside first. */
async function openLog(path: string, { user }: Account) {
  const sizeBytes = await stat(path).then(
    ({ size }) => size,
    () => 0,
  )
  if (sizeBytes > largestLogBytes) await rename(path, `${path}.1`)
  const file = await open(path, 'a', 0o600)
  if (user) await file.chown(user.uid, user.gid)
  const { size: start } = await file.stat()
  return {
    fd: file.fd,
    close: () => file.close(),
    written: async () => (await readFile(path)).subarray(start).toString('utf8').trim().slice(-2_000),
  }
}

async function freePort(host: string): Promise<number> {
  const server = createServer()
  await new Promise<void>((done, fail) => server.once('error', fail).listen(0, host, done))
  const address = server.address()
  await new Promise((done) => server.close(done))
  if (address === null || typeof address === 'string') throw new Error(`no free port on ${host}`)
  return address.port
}
