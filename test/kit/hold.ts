import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

/** A process of ours in the middle of its work. */
export interface Held {
  /** What it printed as its first line. */
  said: string
  pid: number
  /** Ends it so that it can do nothing more itself; resolves when it is gone. */
  kill(): Promise<void>
}

/**
 * Runs a module's code in a process of its own until it has printed a line, and leaves it there: for what happens when
 * such a process is killed. The code's imports are relative to `src/`; it ends when it has printed and nothing holds it.
 */
export async function hold(code: string): Promise<Held> {
  const child = spawn(process.execPath, ['--input-type=module-typescript', '--eval', code], {
    cwd: fileURLToPath(new URL('../../src', import.meta.url)),
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const said = await firstLine(child)
  return {
    said,
    pid: child.pid ?? 0,
    async kill() {
      if (child.exitCode !== null || child.signalCode !== null) return
      child.kill('SIGKILL')
      await once(child, 'exit')
    },
  }
}

async function firstLine(child: ChildProcess): Promise<string> {
  if (!child.stdout) throw new Error('no output to read')
  for await (const line of createInterface(child.stdout)) return line
  throw new Error('the process ended and said nothing')
}
