import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { waitFor } from './wait-for.ts'

/** A part of the service in a process of its own, as an operator runs it: a worker, unless told otherwise. */
export interface ServiceProcess extends AsyncDisposable {
  pid: number
  /** Everything it has printed. */
  printed: () => string
  freeze: () => void
  wake: () => void
  /** Ends it so that it can do nothing more itself; resolves when it is gone. */
  kill: () => Promise<void>
  /** Asks it to stop, as an operator would; resolves with its exit code. */
  stop: () => Promise<number | null>
}

/** Starts one on a metadata database; resolves when it says that it runs. */
export async function startServiceProcess({
  databaseUrl,
  folder,
  keyFile,
  leaseSeconds = 2,
  environment = {},
}: {
  databaseUrl: string
  folder: string
  keyFile: string
  leaseSeconds?: number
  /** Further settings. */
  environment?: Record<string, string>
}): Promise<ServiceProcess> {
  const main = fileURLToPath(new URL('../../src/main.ts', import.meta.url))
  const child = spawn(process.execPath, [main], {
    env: {
      PATH: process.env.PATH,
      DATABASE_URL: databaseUrl,
      HOLDFAST_ROLE: 'worker',
      HOLDFAST_DATA_DIR: join(folder, `worker-${crypto.randomUUID()}`),
      HOLDFAST_KEY_FILE: keyFile,
      HOLDFAST_LEASE_SECONDS: String(leaseSeconds),
      HOLDFAST_LOG_LEVEL: 'debug',
      ...environment,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let text = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk
    })
  }
  await waitFor(
    'a running process',
    () => {
      if (hasEnded(child)) throw new Error(`The process ended: ${text}`)
      return /the worker is running|the API is listening/.test(text)
    },
    { withinMs: 30_000 },
  )
  const pid = child.pid ?? 0
  const kill = async () => {
    if (hasEnded(child)) return
    const exit = once(child, 'exit')
    child.kill('SIGKILL')
    await exit
  }
  return {
    pid,
    printed: () => text,
    freeze: () => process.kill(pid, 'SIGSTOP'),
    wake: () => process.kill(pid, 'SIGCONT'),
    kill,
    async stop() {
      const exit = once(child, 'exit')
      child.kill('SIGTERM')
      await exit
      return child.exitCode
    },
    [Symbol.asyncDispose]: kill,
  }
}

function hasEnded(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null
}
