import { readdir, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'vitest'
import { DataDirectoryInUse, takeDataDirectory } from '../src/database/data-directory.ts'
import { hold } from './kit/hold.ts'
import { test } from './kit/test.ts'

const holding = (path: string) => `
  import { takeDataDirectory } from './database/data-directory.ts'
  globalThis.taken = await takeDataDirectory(${JSON.stringify(path)})
  console.log('taken')
  setInterval(() => {}, 1000)`

test('a second process on a data directory is refused, and told which one has it', async ({ folder }) => {
  const path = join(folder, 'data')
  const first = await hold(holding(path))
  try {
    await expect(takeDataDirectory(path)).rejects.toThrow(DataDirectoryInUse)
    await expect(takeDataDirectory(path)).rejects.toThrow(
      `The data directory ${path} is in use by process ${first.pid} on `,
    )
  } finally {
    await first.kill()
  }
})

test('the lock of a process that was killed is not in the way', async ({ folder }) => {
  const path = join(folder, 'data')
  const first = await hold(holding(path))
  await first.kill()
  using taken = await takeDataDirectory(path)
  expect(taken).toBeDefined()
})

test('of many that try at once exactly one gets the directory', async ({ folder }) => {
  const attempts = await Promise.allSettled(Array.from({ length: 10 }, () => takeDataDirectory(folder)))
  const taken = attempts.filter((attempt) => attempt.status === 'fulfilled')
  expect(taken).toHaveLength(1)
  for (const { value } of taken) value[Symbol.dispose]()
  using again = await takeDataDirectory(folder)
  expect(again).toBeDefined()
})

test('the directory is made with the folders above it, and nobody else may list it', async ({ folder }) => {
  const path = join(folder, 'var', 'lib', 'holdfast')
  using _ = await takeDataDirectory(path)
  expect((await stat(path)).mode & 0o066).toBe(0)
  expect((await readdir(path)).sort()).toEqual(['lock', 'lock.holder'])
})

test('a file in the place of the directory is refused by name', async ({ folder }) => {
  const path = join(folder, 'data')
  await writeFile(path, '')
  await expect(takeDataDirectory(path)).rejects.toThrow(path)
})
