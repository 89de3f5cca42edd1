import { execFile } from 'node:child_process'
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { promisify } from 'node:util'

const run = promisify(execFile)

/** Where each thing of the demo lies; all but the sample server's data is made anew by every run. */
export interface Folder {
  directory: string
  sampleServer: string
  secondServer: string
  holdfast: string
  vault: string
  restoredFiles: string
  holdfastLog: string
  /** Holds the time of a service whose clock is moved by the time-lapse. */
  clock: string
  /** Names the process of Holdfast, for the next run in case that this one is killed. */
  holdfastPid: string
}

const marker = 'holdfast-demo.txt'
const remark = 'Made by "npm run demo" of Holdfast; can be deleted whole while no demo runs.\n'

/**
 * Takes the folder for this run: refuses one that holds something else or belongs to a demo that still runs, ends what a
 * killed run left behind, and removes the service's old state.
 */
export async function claimFolder(directory: string): Promise<Folder & AsyncDisposable> {
  await mkdir(directory, { recursive: true })
  const held = await readdir(directory)
  if (held.length > 0 && !held.includes(marker)) {
    throw new Error(`${directory} holds something else: name an empty folder in HOLDFAST_DEMO_DIR.`)
  }
  await writeFile(join(directory, marker), remark)
  const lock = join(directory, 'demo.pid')
  const other = await readPid(lock)
  if (other && (await runs(other, 'demo/main.ts'))) {
    throw new Error(`A demo runs in ${directory} already (process ${other}): end it first, or set HOLDFAST_DEMO_DIR.`)
  }
  await writeFile(lock, `${process.pid}\n`)
  const folder = foldersIn(directory)
  await endOrphan(folder)
  for (const path of [folder.holdfast, folder.vault, folder.restoredFiles, folder.holdfastLog]) {
    await rm(path, { recursive: true, force: true, maxRetries: 5 })
  }
  return { ...folder, [Symbol.asyncDispose]: () => rm(lock, { force: true }) }
}

function foldersIn(directory: string): Folder {
  return {
    directory,
    sampleServer: join(directory, 'sample-server'),
    secondServer: join(directory, 'second-server'),
    holdfast: join(directory, 'holdfast'),
    vault: join(directory, 'vault'),
    restoredFiles: join(directory, 'restored-files'),
    holdfastLog: join(directory, 'holdfast.log'),
    clock: join(directory, 'clock'),
    holdfastPid: join(directory, 'holdfast.pid'),
  }
}

/**
 * Ends the Holdfast of a demo that was killed: it holds the port and the data that are wanted now. Only one that works on
 * this folder's data is signalled, which Linux alone tells of a process.
 */
async function endOrphan({ holdfastPid, holdfast }: Folder): Promise<void> {
  const pid = await readPid(holdfastPid)
  const isThere = async () => pid !== undefined && (await runs(pid, 'src/main.ts')) && (await mayWorkOn(pid, holdfast))
  if (pid && process.platform !== 'linux' && (await isThere())) {
    throw new Error(
      `The Holdfast of a demo that was killed may still run: end process ${pid}, or remove ${holdfastPid}.`,
    )
  }
  for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
    if (!pid || !(await isThere())) break
    process.kill(pid, signal)
    for (const until = Date.now() + 15_000; Date.now() < until && (await isThere()); ) await delay(50)
  }
  await rm(holdfastPid, { force: true })
}

async function readPid(file: string): Promise<number | undefined> {
  const pid = Number.parseInt(await readFile(file, 'utf8').catch(() => ''), 10)
  return pid > 0 ? pid : undefined
}

/** Whether the process is there and runs that program, not another that was given its number since. */
async function runs(pid: number, program: string): Promise<boolean> {
  if (pid === process.pid) return false
  try {
    if (process.platform === 'linux') return (await readFile(`/proc/${pid}/cmdline`, 'utf8')).includes(program)
    return (await run('ps', ['-o', 'command=', '-p', String(pid)])).stdout.includes(program)
  } catch {
    return false
  }
}

/** Whether it was started on that data directory; where the system does not say, it may have been. */
async function mayWorkOn(pid: number, dataDirectory: string): Promise<boolean> {
  if (process.platform !== 'linux') return true
  const environment = await readFile(`/proc/${pid}/environ`, 'utf8').catch(() => '')
  return environment.split('\0').includes(`HOLDFAST_DATA_DIR=${dataDirectory}`)
}
