import { type FileHandle, mkdir, open, readdir, readlink, rename } from 'node:fs/promises'
import { join } from 'node:path'
import postgres from 'postgres'
import { describe, expect, onTestFinished } from 'vitest'
import { markDatabase, markDirectory, unmarkDatabase } from '../src/database/recovery-mark.ts'
import { preparePlace } from '../src/recover/place.ts'
import { readSettings } from '../src/settings.ts'
import { createVault } from '../src/vault/create.ts'
import { exportRecoveryKey } from '../src/vault/export-recovery-key.ts'
import { backUpMetadata } from '../src/vault/metadata/back-up.ts'
import { emptyDatabase } from './kit/fresh-database.ts'
import { actor, protect, startService } from './kit/protected-server.ts'
import { recoverFrom } from './kit/recovered.ts'
import { test } from './kit/test.ts'

const now = () => new Date()

/** Runs statements on a metadata database, and answers how many functions and types it has in its public schema then. */
async function run(url: string, ...statements: string[]): Promise<number> {
  const sql = postgres(url, { max: 1, onnotice: () => {} })
  try {
    for (const statement of statements) await sql.unsafe(statement)
    const found = await sql`
      select from pg_proc where pronamespace = 'public'::regnamespace
      union all select from pg_type where typnamespace = 'public'::regnamespace`
    return found.length
  } finally {
    await sql.end()
  }
}

describe('the metadata database that a recovery is given', () => {
  test.for([
    ['a function', 'create function mine() returns int language sql as $$ select 1 $$'],
    ['a type', "create type mine as enum ('one')"],
    ['a sequence', 'create sequence mine'],
  ])('is not empty with %s in it, and is left as it is', async ([, statement = '']) => {
    await using database = await emptyDatabase()
    const before = await run(database.url, statement)
    expect(await markDatabase(database.url)).toBe(false)
    expect(await run(database.url)).toBe(before)
  })

  test('is emptied of functions of one name too, where the recovery failed', async () => {
    await using database = await emptyDatabase()
    expect(await markDatabase(database.url)).toBe(true)
    const functions = ['', 'n int'].map((of) => `create function two(${of}) returns int language sql as $$ select 1 $$`)
    expect(await run(database.url, ...functions)).toBe(2)
    await unmarkDatabase(database.url, { isFailed: true })
    expect(await run(database.url)).toBe(0)
  })
})

test('a recovery that fails at its end takes its key file away again', async ({ folder }) => {
  const data = join(folder, 'data')
  await mkdir(data)
  const database = await emptyDatabase()
  const place = await preparePlace(readSettings({ HOLDFAST_DATA_DIR: data, DATABASE_URL: database.url }))
  await database[Symbol.asyncDispose]()
  await expect(place.finish(Buffer.alloc(32))).rejects.toThrow()
  expect(await readdir(data)).toContain('secret.key')
  // It cannot be emptied either: the mark stays, so that no service starts there.
  await expect(place.giveUp()).rejects.toThrow()
  expect(await readdir(data)).toEqual(['recovery-unfinished'])
})

test('a recovery makes its key file durable before the metadata database is whole', async ({ folder }) => {
  const [data, keys] = [join(folder, 'data'), join(folder, 'keys')]
  for (const each of [data, keys]) await mkdir(each)
  const keyFile = join(keys, 'secret.key')
  await using database = await emptyDatabase()
  const place = () =>
    preparePlace(readSettings({ HOLDFAST_DATA_DIR: data, HOLDFAST_KEY_FILE: keyFile, DATABASE_URL: database.url }))
  await using handle = await open(keys)
  // Listened to, and done: what a folder holds when it is made durable is what a loss of power would leave.
  const files: FileHandle = Object.getPrototypeOf(handle)
  const { sync } = files
  files.sync = async function (this: FileHandle) {
    if ((await readlink(`/proc/self/fd/${this.fd}`)) === keys) synced.push(await readdir(keys))
    return sync.call(this)
  }
  onTestFinished(() => void Object.assign(files, { sync }))
  const synced: string[][] = []
  await (await place()).finish(Buffer.alloc(32))
  expect(synced.flat()).toContain('secret.key')
  // One that was killed before its end has left the file, and nobody knows whether for good.
  synced.length = 0
  await markDirectory(data, true)
  await (await place()).finish(Buffer.alloc(32))
  expect(synced.flat()).toContain('secret.key')
})

test('a vault is not recovered in a place where the copy has another one', { timeout: 60_000 }, async ({
  databaseUrl,
  folder,
  source,
}) => {
  await using before = await startService({ databaseUrl, folder })
  const { database, secrets, ended } = before
  const { vault, vaultPath } = await protect(before, source, folder)
  const asked = { vaultId: vault.id, secrets, actor, now: now() }
  const { recoveryKey } = await exportRecoveryKey(database, asked)
  const path = join(folder, 'other disk')
  const location = { kind: 'DIRECTORY' as const, path }
  await createVault(database, { name: 'other', location, secrets, actor, now: now() })
  expect(await ended((await backUpMetadata(database, asked)).id)).toMatchObject({ status: 'COMPLETED' })
  await rename(vaultPath, path)
  await expect(recoverFrom(path, { recoveryKey, folder })).rejects.toThrow('give this vault by another path')
})
