import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, onTestFinished } from 'vitest'
import { claimFolder } from '../src/demo/folder.ts'
import { test } from './kit/test.ts'
import { within } from './kit/wait-for.ts'

/** A program that is named as Holdfast is, on a data directory; it says so when it runs. */
async function startNamesake(folder: string, dataDirectory: string): Promise<ChildProcess> {
  await mkdir(join(folder, 'src'), { recursive: true })
  const program = join(folder, 'src/main.ts')
  await writeFile(program, "console.log('runs'); setInterval(() => {}, 1000)")
  const child = spawn(process.execPath, [program], { env: { HOLDFAST_DATA_DIR: dataDirectory }, stdio: 'pipe' })
  onTestFinished(() => void child.kill('SIGKILL'))
  await within('the program to run', once(child.stdout, 'data'))
  return child
}

test.runIf(process.platform === 'linux')(
  'a demo ends the Holdfast that an earlier one left behind, and no other program of that number',
  async ({ folder }) => {
    const directory = join(folder, 'demo')
    await using first = await claimFolder(directory)
    const other = await startNamesake(folder, join(folder, 'production'))
    await writeFile(first.holdfastPid, `${other.pid}\n`)
    await using second = await claimFolder(directory)
    expect([other.exitCode, other.signalCode]).toEqual([null, null])

    const orphan = await startNamesake(folder, second.holdfast)
    const ended = once(orphan, 'exit')
    await writeFile(second.holdfastPid, `${orphan.pid}\n`)
    await using _third = await claimFolder(directory)
    expect(await within('the orphan to end', ended)).toEqual([null, 'SIGTERM'])
  },
)
