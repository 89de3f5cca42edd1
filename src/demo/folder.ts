import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'

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
  await endOrphan(folder.holdfastPid)
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

/** Ends the Holdfast of a demo that was killed: it holds the port and the data that are wanted now. */
async function endOrphan(pidFile: string): Promise<void> {
  const pid = await readPid(pidFile)
  for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
    if (!pid || !(await runs(pid, 'src/main.ts'))) break
    process.kill(pid, signal)
    for (const until = Date.now() + 15_000; Date.now() < until && (await runs(pid, 'src/main.ts')); ) await delay(50)
  }
  await rm(pidFile, { force: true })
}

async function readPid(file: string): Promise<number | undefined> {
  const pid = Number.parseInt(await readFile(file, 'utf8').catch(() => ''), 10)
  return pid > 0 ? pid : undefined
}

/** Whether the process is there and is ours, not another that was given its number since. */
async function runs(pid: number, program: string): Promise<boolean> {
  try {
    process.kill(pid, 0)
  } catch {
    return false
  }
  const command = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => undefined)
  if (command === undefined) return process.platform !== 'linux'
  return pid !== process.pid && command.includes(program)
}
