import { sql } from 'drizzle-orm'
import { describe, expect } from 'vitest'
import { connectDatabase, type Database } from '../src/database/connect.ts'
import { isOutage } from '../src/database/outage.ts'
import { startProxy } from './kit/proxy.ts'
import { test } from './kit/test.ts'
import { waitFor, within } from './kit/wait-for.ts'

const one = sql`select 1 as one`

async function pidOf(database: Database): Promise<number> {
  const [row] = await database.execute(sql`select pg_backend_pid() as pid`)
  return Number(row?.pid)
}

/** What a promise is rejected with. */
async function failureOf(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => undefined,
    (cause: unknown) => cause,
  )
}

describe('a connection to the metadata database', () => {
  test('that is lost inside a transaction fails it, and nothing else', async ({ databaseUrl, database }) => {
    await using connection = connectDatabase(databaseUrl, { maxConnections: 2 })
    await connection.database.execute(sql`create table facts (fact int)`)
    for (let round = 0; round < 3; round++) {
      const failure = await failureOf(
        connection.database.transaction(async (tx) => {
          await tx.execute(sql`insert into facts values (${round})`)
          await database.execute(sql`select pg_terminate_backend(${await pidOf(tx)})`)
          await failureOf(Promise.all([tx.execute(one), tx.execute(one)]))
          // Nor is a statement sent on another connection, where it would be done for itself.
          await tx.execute(sql`insert into facts values (99)`)
        }),
      )
      expect(isOutage(failure)).toBe(true)
      expect(await connection.database.execute(one)).toEqual([{ one: 1 }])
    }
    expect(await connection.database.execute(sql`select * from facts`)).toEqual([])
  })

  test('that is lost while it is idle is not used again', async ({ databaseUrl, database }) => {
    await using connection = connectDatabase(databaseUrl, { maxConnections: 1 })
    const pid = await pidOf(connection.database)
    await database.execute(sql`select pg_terminate_backend(${pid})`)
    await waitFor('a new one is made', async () => {
      const now = await pidOf(connection.database).catch(() => pid)
      return now !== pid
    })
  })

  test('is made again soon after an outage, whatever was under way', async ({ databaseUrl }) => {
    await using proxy = await startProxy(databaseUrl)
    await using connection = connectDatabase(proxy.url, { maxConnections: 3 })
    let isOver = false
    let answers = 0
    const asking = Array.from({ length: 6 }, async () => {
      while (!isOver) {
        const failure = await failureOf(connection.database.execute(one))
        if (failure === undefined) answers++
        else expect(isOutage(failure)).toBe(true)
        await new Promise((resolve) => setImmediate(resolve))
      }
    })
    for (let round = 0; round < 10; round++) {
      const before = answers
      await waitFor('there are answers', () => answers > before + 5, { withinMs: 2_000 })
      proxy.cut()
      await proxy.heal()
    }
    isOver = true
    await Promise.all(asking)
  })

  test('to a server that hangs up fails in bounded time', async ({ databaseUrl }) => {
    await using proxy = await startProxy(databaseUrl)
    await using connection = connectDatabase(proxy.url)
    proxy.hangUp()
    expect(isOutage(await within('it fails', failureOf(connection.database.execute(one))))).toBe(true)
  })

  test('that falls silent fails what was asked on it, and another one takes its place', async ({ databaseUrl }) => {
    await using proxy = await startProxy(databaseUrl)
    await using connection = connectDatabase(proxy.url, { maxConnections: 1, longestSilenceMs: 500 })
    expect(await connection.database.execute(one)).toEqual([{ one: 1 }])
    proxy.mute()
    expect(isOutage(await within('it fails', failureOf(connection.database.execute(one))))).toBe(true)
    expect(await connection.database.execute(one)).toEqual([{ one: 1 }])
  })

  test('that takes its time is not taken for silent while it answers', async ({ databaseUrl }) => {
    await using connection = connectDatabase(databaseUrl, { maxConnections: 1, longestSilenceMs: 700 })
    await connection.database.transaction(async (tx) => {
      await Promise.all([1, 2, 3].map(() => tx.execute(sql`select pg_sleep(0.4)`)))
    })
  })

  test('that falls silent while it is being made fails in bounded time, and nothing else', async ({ databaseUrl }) => {
    const failures = Array.from({ length: 40 }, async (_, turns) => {
      await using proxy = await startProxy(databaseUrl)
      await using connection = connectDatabase(proxy.url, { longestSilenceMs: 1_000 })
      const failure = failureOf(connection.database.execute(one))
      for (let turn = 0; turn < turns; turn++) await new Promise((resolve) => setImmediate(resolve))
      proxy.stall()
      return failure
    })
    for (const failure of await within('all are settled', Promise.all(failures))) {
      expect(failure === undefined || isOutage(failure)).toBe(true)
    }
  })
})

describe('a transaction', () => {
  test('cut off in the middle of a statement keeps its locks for seconds only', async ({ databaseUrl, database }) => {
    await using proxy = await startProxy(databaseUrl)
    await using connection = connectDatabase(proxy.url)
    const { promise: locked, resolve } = Promise.withResolvers<void>()
    const cutOff = connection.database.transaction(async (tx) => {
      await tx.execute(sql`select pg_advisory_xact_lock(1)`)
      proxy.mute()
      resolve()
      // With a parameter: the driver would wait for an answer before it sends the rest.
      await tx.execute(sql`select ${1}::int`)
    })
    const failure = failureOf(cutOff)
    await locked
    const isFree = async () => {
      const [row] = await database.execute(sql`select pg_try_advisory_xact_lock(1) as free`)
      return row?.free === true
    }
    expect(await isFree()).toBe(false)
    await waitFor('the lock is free', isFree, { withinMs: 5_000 + 3_000 })
    await proxy.heal()
    expect(isOutage(await failure)).toBe(true)
  })

  test('whose statement takes too long fails as in an outage, and the next one works', async ({
    databaseUrl,
    database,
  }) => {
    await using connection = connectDatabase(databaseUrl, { maxConnections: 1 })
    const failure = await database.transaction(async (holder) => {
      await holder.execute(sql`select pg_advisory_xact_lock(1)`)
      return failureOf(
        connection.database.transaction(async (tx) => {
          await tx.execute(sql`set local statement_timeout = 300`)
          await tx.execute(sql`select pg_advisory_xact_lock(${1}), ${2}::int`)
        }),
      )
    })
    expect(isOutage(failure)).toBe(true)
    expect(await connection.database.execute(one)).toEqual([{ one: 1 }])
  })

  test('is done or undone as a whole, and so is a part of it', async ({ database }) => {
    await database.execute(sql`create table facts (fact int)`)
    const insert = (tx: Database, fact: number) => tx.execute(sql`insert into facts values (${fact})`)
    await database.transaction(async (tx) => {
      await insert(tx, 1)
      await expect(
        tx.transaction(async (part) => {
          await insert(part, 2)
          throw new Error('not this part')
        }),
      ).rejects.toThrow('not this part')
      await tx.transaction((part) => insert(part, 3))
    })
    await expect(
      database.transaction(async (tx) => {
        await insert(tx, 4)
        throw new Error('not this one')
      }),
    ).rejects.toThrow('not this one')
    expect(await database.execute(sql`select fact from facts order by fact`)).toEqual([{ fact: 1 }, { fact: 3 }])
  })

  test('in which a statement failed is not taken for done, though its error was passed over', async ({ database }) => {
    const done = database.transaction(async (tx) => {
      await tx.execute(sql`create table facts (fact int)`)
      await failureOf(tx.execute(sql`select 1 / 0`))
      return 'done'
    })
    await expect(done).rejects.toThrow('was rolled back')
  })

  test('lets no statement through after its end', async ({ database }) => {
    const tx = await database.transaction(async (inner) => inner)
    await expect(tx.execute(one)).rejects.toMatchObject({ cause: { message: 'The transaction is over.' } })
  })
})

describe('a pool', () => {
  test('has no more connections than it may, and serves all who wait', async ({ databaseUrl, database }) => {
    await using connection = connectDatabase(databaseUrl, { maxConnections: 2 })
    const pids = await Promise.all(Array.from({ length: 30 }, () => pidOf(connection.database)))
    expect(new Set(pids).size).toBeLessThanOrEqual(2)
    const [row] = await database.execute(
      sql`select count(*)::int as open from pg_stat_activity where pid in (${sql.join([...new Set(pids)], sql`, `)})`,
    )
    expect(row?.open).toBeLessThanOrEqual(2)
  })

  test('that is closed lets what is under way end, and takes nothing more', async ({ databaseUrl, database }) => {
    const connection = connectDatabase(databaseUrl)
    const { promise: begun, resolve: begin } = Promise.withResolvers<number>()
    const { promise: released, resolve: release } = Promise.withResolvers<void>()
    const work = connection.database.transaction(async (tx) => {
      begin(await pidOf(tx))
      await released
      return tx.execute(one)
    })
    const pid = await begun
    const closed = connection[Symbol.asyncDispose]()
    expect(isOutage(await failureOf(connection.database.execute(one)))).toBe(true)
    release()
    expect(await work).toEqual([{ one: 1 }])
    await closed
    await waitFor('its connections are gone', async () => {
      const [row] = await database.execute(sql`select count(*)::int as open from pg_stat_activity where pid = ${pid}`)
      return row?.open === 0
    })
  })
})
