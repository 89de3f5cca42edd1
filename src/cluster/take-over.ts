import { execFile } from 'node:child_process'
import { readdir, readFile, readlink, realpath, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { promisify } from 'node:util'

const run = promisify(execFile)

const patienceMs = { SIGINT: 15_000, SIGQUIT: 5_000, SIGKILL: 5_000 } as const

/**
 * Stops whatever an earlier life of ours left running on a data directory, so that it can be started again.
 * Signals only processes that are PostgreSQL's and work in that very directory: a number reused by another program is left
 * alone. Throws when they cannot be stopped within 25 s.
 */
export async function takeOver(dataDir: string): Promise<void> {
  const directory = await realpath(dataDir)
  for (const signal of ['SIGINT', 'SIGQUIT', 'SIGKILL'] as const) {
    // Children end with their postmaster; only those that lost theirs are signalled themselves.
    const postmaster = await postmasterOf(directory)
    const left = postmaster === undefined ? await processesIn(directory) : [postmaster]
    if (left.length === 0) return forget(directory)
    for (const pid of left) send(pid, signal)
    if (await allGone(directory, patienceMs[signal])) return forget(directory)
  }
  const left = (await processesIn(directory)).join(', ')
  throw new Error(`PostgreSQL still runs on ${dataDir} and cannot be stopped (process ${left}).`)
}

/** A number left in the lock file may by now be another program's, which PostgreSQL would take for its own. */
async function forget(directory: string): Promise<void> {
  if (process.platform === 'linux') await rm(join(directory, 'postmaster.pid'), { force: true })
}

async function postmasterOf(directory: string): Promise<number | undefined> {
  const text = await readFile(join(directory, 'postmaster.pid'), 'utf8').catch(() => '')
  const pid = Number.parseInt(text, 10)
  if (!(pid > 0)) return undefined
  return (await worksIn(pid, directory)) ? pid : undefined
}

/** Only Linux tells of a process where it works; elsewhere nothing is found. */
async function processesIn(directory: string): Promise<number[]> {
  const names = await readdir('/proc').catch((): string[] => [])
  const pids = names.map(Number).filter((pid) => pid > 0)
  const works = await Promise.all(pids.map((pid) => worksIn(pid, directory)))
  return pids.filter((_, index) => works[index])
}

async function worksIn(pid: number, directory: string): Promise<boolean> {
  try {
    if (process.platform !== 'linux') {
      const { stdout } = await run('ps', ['-o', 'command=', '-p', String(pid)])
      return stdout.includes('postgres') && stdout.includes(directory)
    }
    const [program, folder] = await Promise.all([readFile(`/proc/${pid}/comm`, 'utf8'), readlink(`/proc/${pid}/cwd`)])
    return program.trim() === 'postgres' && folder === directory
  } catch {
    // Gone meanwhile, or another user's: in neither case ours to signal.
    return false
  }
}

async function allGone(directory: string, withinMs: number): Promise<boolean> {
  const until = Date.now() + withinMs
  while ((await postmasterOf(directory)) !== undefined || (await processesIn(directory)).length > 0) {
    if (Date.now() > until) return false
    await delay(20)
  }
  return true
}

function send(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal)
  } catch {
    // Gone between look and signal.
  }
}
