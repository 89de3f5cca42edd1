import { sql } from 'drizzle-orm'
import { expect } from 'vitest'
import type { Database } from '../src/database/connect.ts'
import { startListener } from '../src/database/listen.ts'
import { test } from './kit/test.ts'
import { waitFor } from './kit/wait-for.ts'

const notify = (database: Database, payload: string) => database.execute(sql`select pg_notify('tests', ${payload})`)

/** The server's processes behind the listeners of a database. */
async function listenerProcesses(database: Database): Promise<number[]> {
  const found = await database.execute<{ pid: number }>(
    sql`select pid from pg_stat_activity where application_name = 'holdfast listener' and datname = current_database()`,
  )
  return found.map(({ pid }) => pid)
}

async function cutListeners(database: Database): Promise<number[]> {
  const pids = await listenerProcesses(database)
  for (const pid of pids) await database.execute(sql`select pg_terminate_backend(${pid})`)
  return pids
}

test('subscribers are told to look once, then of every notification in order', async ({ database, databaseUrl }) => {
  await using listener = await startListener(databaseUrl)
  const heard: (string | undefined)[] = []
  listener.subscribe('tests', (payload) => heard.push(payload))
  await waitFor('the first look', () => heard.length === 1)
  for (const payload of ['1', '2', '3']) await notify(database, payload)
  await waitFor('all notifications', () => heard.length === 4)
  expect(heard).toEqual([undefined, '1', '2', '3'])
})

test('a subscriber that has stopped is told nothing more, the others are', async ({ database, databaseUrl }) => {
  await using listener = await startListener(databaseUrl)
  const [first, second]: (string | undefined)[][] = [[], []]
  const stop = listener.subscribe('tests', (payload) => first?.push(payload))
  listener.subscribe('tests', (payload) => second?.push(payload))
  await waitFor('the first look', () => second?.length)
  stop()
  await notify(database, 'later')
  await waitFor('the notification', () => second?.includes('later'))
  expect(first).toEqual([undefined])
})

test('while its connection is cut again and again no commit stays unseen', async ({ database, databaseUrl }) => {
  await database.execute(sql`create table commits (number int)`)
  await using listener = await startListener(databaseUrl)
  let seen = 0
  let looks = Promise.resolve()
  const look = async () => {
    const [counted] = await database.execute<{ count: number }>(sql`select count(*)::int as count from commits`)
    seen = counted?.count ?? 0
  }
  const stop = listener.subscribe('tests', () => {
    looks = looks.then(look)
  })
  await waitFor('the listener to be there', async () => (await listenerProcesses(database)).length)
  for (let number = 1; number <= 15; number++) {
    const cutting = cutListeners(database)
    await database.transaction(async (tx) => {
      await tx.execute(sql`insert into commits values (${number})`)
      await tx.execute(sql`select pg_notify('tests', '')`)
    })
    const cut = await cutting
    expect(cut.length).toBeGreaterThan(0)
    await waitFor(`commit ${number} to be seen`, () => seen === number)
    await waitFor('another listener in the place of the one cut', async () => {
      const pids = await listenerProcesses(database)
      return pids.length > 0 && pids.every((pid) => !cut.includes(pid))
    })
  }
  stop()
  await looks
})

test('a connection that falls silent without being closed is noticed and made anew', async ({
  database,
  databaseUrl,
}) => {
  await using listener = await startListener(databaseUrl, { heartbeatMs: 300 })
  const heard: (string | undefined)[] = []
  listener.subscribe('tests', (payload) => heard.push(payload))
  await waitFor('the first look', () => heard.length === 1)
  const frozen = await listenerProcesses(database)
  for (const pid of frozen) process.kill(pid, 'SIGSTOP')
  try {
    await notify(database, 'into the void')
    await waitFor('to be told to look again', () => heard.length > 1)
    expect(heard.slice(0, 2)).toEqual([undefined, undefined])
    await notify(database, 'heard')
    await waitFor('the next notification', () => heard.includes('heard'))
  } finally {
    for (const pid of frozen) process.kill(pid, 'SIGCONT')
  }
})

test('a database that cannot be reached at the start is an error', async () => {
  await expect(startListener('postgres://nobody@127.0.0.1:9/none')).rejects.toThrow()
})
