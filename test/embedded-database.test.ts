import { readdir, readFile, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { sql } from 'drizzle-orm'
import { expect } from 'vitest'
import { connectDatabase } from '../src/database/connect.ts'
import { startEmbeddedDatabase } from '../src/database/embedded.ts'
import { startListener } from '../src/database/listen.ts'
import { migrateDatabase } from '../src/database/migrate.ts'
import { test } from './kit/test.ts'
import { waitFor } from './kit/wait-for.ts'

async function postmaster(folder: string): Promise<number> {
  return Number.parseInt(await readFile(join(folder, 'metadata', 'postmaster.pid'), 'utf8').catch(() => '0'), 10)
}

test('the embedded database keeps what was written over a restart of the service', async ({ folder }) => {
  {
    await using embedded = await startEmbeddedDatabase({ dataDirectory: folder })
    await migrateDatabase(embedded.url)
    await using connection = connectDatabase(embedded.url)
    await connection.database.execute(sql`create table kept as select 7 as number`)
  }
  expect(await postmaster(folder)).toBe(0)
  await using embedded = await startEmbeddedDatabase({ dataDirectory: folder })
  await using connection = connectDatabase(embedded.url)
  expect([...(await connection.database.execute(sql`select number from kept`))]).toEqual([{ number: 7 }])
})

test('the embedded database is started again, at the same address, when it is killed', async ({ folder }) => {
  await using embedded = await startEmbeddedDatabase({ dataDirectory: folder })
  await using connection = connectDatabase(embedded.url)
  await connection.database.execute(sql`create table kept as select 7 as number`)
  await using listener = await startListener(embedded.url)
  let looks = 0
  listener.subscribe('tests', () => looks++)
  await waitFor('the first look', () => looks)
  const killed = await postmaster(folder)
  process.kill(killed, 'SIGKILL')
  await waitFor('another server', async () => ![0, killed].includes(await postmaster(folder)))
  const rows = await waitFor('the database to answer again', () =>
    connection.database.execute(sql`select number from kept`).catch(() => undefined),
  )
  expect([...rows]).toEqual([{ number: 7 }])
  await waitFor('listeners to be told to look again', () => looks > 1)
})

test('its password lies in a file for its owner alone, and losing that is told in one sentence', async ({ folder }) => {
  {
    await using embedded = await startEmbeddedDatabase({ dataDirectory: folder })
    const password = (await readFile(join(folder, 'metadata.password'), 'utf8')).trim()
    expect(embedded.url).toContain(password)
  }
  expect((await stat(join(folder, 'metadata.password'))).mode & 0o777).toBe(0o600)
  expect((await readdir(folder)).sort()).toEqual(['metadata', 'metadata.password'])
  await rm(join(folder, 'metadata.password'))
  await expect(startEmbeddedDatabase({ dataDirectory: folder })).rejects.toThrow(
    /metadata\.password is missing.*put it back/,
  )
})
