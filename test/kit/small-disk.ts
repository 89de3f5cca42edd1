import { execFile } from 'node:child_process'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)

/** A file system of its own with little room, in a folder; needs root. */
export async function smallDisk(folder: string, sizeMegabytes: number): Promise<AsyncDisposable & { path: string }> {
  const path = join(folder, 'disk')
  await mkdir(path)
  await run('mount', ['-t', 'tmpfs', '-o', `size=${sizeMegabytes}m`, 'tmpfs', path])
  return {
    path,
    async [Symbol.asyncDispose]() {
      await run('umount', ['-l', path])
    },
  }
}
