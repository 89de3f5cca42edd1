import { type ChildProcess, spawn } from 'node:child_process'
import { open, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { Folder } from '../folder.ts'

/** Holdfast, running as a process of its own. */
export interface Holdfast extends AsyncDisposable {
  /** Such as "http://127.0.0.1:4000". */
  url: string
  pid: number
  /** Resolves, with the end of its log, when it ends without having been told to; never otherwise. */
  exited: Promise<string>
}

const program = fileURLToPath(new URL('../../main.ts', import.meta.url))
const startPatienceMs = 60_000
const stopPatienceMs = 40_000

/** Starts Holdfast on a data directory of the demo's; resolves when it says that it is ready. */
export async function startHoldfast(
  folder: Folder,
  {
    port,
    postgresDirectory,
    environment = {},
    signal,
  }: { port: number; postgresDirectory: string; environment?: Record<string, string>; signal: AbortSignal },
): Promise<Holdfast> {
  const log = await open(folder.holdfastLog, 'a', 0o600)
  const child = spawn(process.execPath, [program], {
    env: {
      ...ownEnvironment(),
      HOLDFAST_DATA_DIR: folder.holdfast,
      HOLDFAST_PORT: String(port),
      HOLDFAST_POSTGRES_DIRECTORIES: postgresDirectory,
      ...environment,
    },
    stdio: ['ignore', log.fd, log.fd],
    // A group of its own: a Ctrl-C is meant for the demo, which then stops everything in order.
    detached: true,
  })
  const ended = new Promise<void>((done) => {
    child.once('exit', () => done())
    child.once('error', () => done())
  })
  await log.close()
  await writeFile(folder.holdfastPid, `${child.pid}\n`)
  const url = `http://127.0.0.1:${port}`
  let isStopping = false
  const stop = async () => {
    isStopping = true
    await stopChild(child, ended)
    await rm(folder.holdfastPid, { force: true })
  }
  try {
    await ready(url, child, signal)
  } catch (cause) {
    await stop()
    throw signal.aborted
      ? cause
      : new Error(`Holdfast did not start:\n${await endOfLog(folder.holdfastLog)}`, { cause })
  }
  return {
    url,
    pid: child.pid ?? 0,
    exited: new Promise((done) => ended.then(async () => isStopping || done(await endOfLog(folder.holdfastLog)))),
    [Symbol.asyncDispose]: stop,
  }
}

/** The port wanted, or a free one when it is taken (or 0); throws when it is taken and no other will do. */
export async function choosePort(wanted: number, { mayMove }: { mayMove: boolean }): Promise<number> {
  const port = await tryPort(wanted)
  if (port !== undefined) return port
  if (!mayMove) throw new Error(`Port ${wanted} is in use: set HOLDFAST_PORT to another, or leave it unset.`)
  return (await tryPort(0)) ?? wanted
}

async function tryPort(wanted: number): Promise<number | undefined> {
  const server = createServer()
  try {
    await new Promise<void>((done, fail) => server.once('error', fail).listen(wanted, '127.0.0.1', done))
  } catch {
    return undefined
  }
  const address = server.address()
  await new Promise((done) => server.close(done))
  return typeof address === 'object' ? address?.port : undefined
}

/** Ours, without what would point Holdfast at another database, vault or token than the demo's. */
function ownEnvironment(): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(([name]) => !/^(HOLDFAST_|PG[A-Z]|DATABASE_URL$)/.test(name))
  return Object.fromEntries(kept)
}

async function ready(url: string, child: ChildProcess, signal: AbortSignal): Promise<void> {
  for (const until = Date.now() + startPatienceMs; Date.now() < until; ) {
    if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) throw new Error('it ended')
    const isReady = await fetch(`${url}/readyz`, { signal }).then(
      ({ status }) => status === 200,
      () => false,
    )
    if (isReady) return
    await delay(50, undefined, { signal })
  }
  throw new Error(`not ready within ${startPatienceMs / 1000} s`)
}

async function stopChild(child: ChildProcess, ended: Promise<void>): Promise<void> {
  for (const [signal, patienceMs] of [
    ['SIGTERM', stopPatienceMs],
    ['SIGKILL', 5_000],
  ] as const) {
    if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return
    child.kill(signal)
    const patience = new AbortController()
    await Promise.race([ended, delay(patienceMs, undefined, { signal: patience.signal }).catch(() => {})])
    patience.abort()
  }
}

async function endOfLog(path: string): Promise<string> {
  const text = await readFile(path, 'utf8').catch(() => '')
  return text.trim().split('\n').slice(-8).join('\n')
}
