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

/**
 * A number left in the lock file may by now be another program's, which PostgreSQL would take for its own. Where some
 * process of PostgreSQL does not tell where it works, PostgreSQL is left to judge.
 */
async function forget(directory: string): Promise<void> {
  if (process.platform !== 'linux') return
  if (!(await placesOfAll(directory)).some(({ place }) => place === 'UNKNOWN'))
    await rm(join(directory, 'postmaster.pid'), { force: true })
}

async function postmasterOf(directory: string): Promise<number | undefined> {
  const text = await readFile(join(directory, 'postmaster.pid'), 'utf8').catch(() => '')
  const pid = Number.parseInt(text, 10)
  if (!(pid > 0)) return undefined
  return (await placeOf(pid, directory)) === 'HERE' ? pid : undefined
}

/** Only Linux tells of a process where it works; elsewhere nothing is found. */
async function processesIn(directory: string): Promise<number[]> {
  return (await placesOfAll(directory)).filter(({ place }) => place === 'HERE').map(({ pid }) => pid)
}

async function placesOfAll(directory: string): Promise<{ pid: number; place: Place }[]> {
  const names = await readdir('/proc').catch((): string[] => [])
  const pids = names.map(Number).filter((pid) => pid > 0)
  return Promise.all(pids.map(async (pid) => ({ pid, place: await placeOf(pid, directory) })))
}

/** Where a process of PostgreSQL works; what is gone, or is none, works elsewhere. */
type Place = 'HERE' | 'ELSEWHERE' | 'UNKNOWN'

async function placeOf(pid: number, directory: string): Promise<Place> {
  try {
    if (process.platform !== 'linux') {
      const { stdout } = await run('ps', ['-o', 'command=', '-p', String(pid)])
      return stdout.includes('postgres') && stdout.includes(directory) ? 'HERE' : 'ELSEWHERE'
    }
    if ((await readFile(`/proc/${pid}/comm`, 'utf8')).trim() !== 'postgres') return 'ELSEWHERE'
    const folder = await readlink(`/proc/${pid}/cwd`).catch((cause) => {
      if (cause.code === 'EACCES' || cause.code === 'EPERM') return startedOn(pid)
      throw cause
    })
    if (folder === undefined) return 'UNKNOWN'
    return folder === directory ? 'HERE' : 'ELSEWHERE'
  } catch {
    // Gone meanwhile.
    return 'ELSEWHERE'
  }
}

/** Root in a container may not see where others work, but how they were started; children of a postmaster hide that. */
async function startedOn(pid: number): Promise<string | undefined> {
  const words = (await readFile(`/proc/${pid}/cmdline`, 'utf8')).split('\0')
  const given = words[words.indexOf('-D') + 1]
  return words.includes('-D') && given ? realpath(given) : undefined
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
