import { eq, sql } from 'drizzle-orm'
import { describe, expect } from 'vitest'
import { connectDatabase, type Database } from '../src/database/connect.ts'
import { isOfThisDatabase } from '../src/database/feed.ts'
import { startListener } from '../src/database/listen.ts'
import { jobs } from '../src/database/tables/job.ts'
import { requestCancel } from '../src/job/cancel.ts'
import { changeJobs } from '../src/job/change.ts'
import { cursorOf, encodeFeedCursor, findFeedEnd, readJobEvents } from '../src/job/events.ts'
import type { JobEvent } from '../src/job/states.ts'
import { watchJob, watchJobEvents } from '../src/job/watch.ts'
import { startProxy } from './kit/proxy.ts'
import { completed, ended, enqueue, handlerThat, testRunner } from './kit/runner.ts'
import { test } from './kit/test.ts'
import { waitFor, within } from './kit/wait-for.ts'

const place = ({ transactionId, id }: JobEvent) =>
  `${String(transactionId).padStart(20, '0')}.${String(id).padStart(20, '0')}`

/** Takes so many events of a feed. */
async function take(feed: AsyncIterableIterator<JobEvent>, count: number): Promise<JobEvent[]> {
  const events: JobEvent[] = []
  while (events.length < count) {
    const { value } = await within(`event ${events.length + 1} of ${count}`, feed.next())
    if (!value) throw new Error('The feed ended.')
    events.push(value)
  }
  return events
}

function note(database: Database, jobId: string, message = '') {
  const events = [{ type: 'NOTED' as const, data: { message } }]
  return database.transaction((tx) => changeJobs(tx, eq(jobs.id, jobId), {}, events))
}

/** All that matches, once no transaction, of this database or another on the server, holds anything up. */
async function readAll(database: Database, options: Omit<Parameters<typeof readJobEvents>[1], 'limit'> = {}) {
  return waitFor('nothing is held up', async () => {
    const page = await readJobEvents(database, { ...options, limit: 100 })
    return !page.isHeldUp && page
  })
}

/** All in feed order, and every job's own events complete and in sequence. */
function expectWhole(events: readonly JobEvent[]): void {
  expect(events.map(place)).toEqual(events.map(place).sort())
  for (const [, own] of Map.groupBy(events, ({ jobId }) => jobId)) {
    expect(own.map(({ sequence }) => sequence)).toEqual(own.map((_, index) => index + 1))
  }
}

describe('the feed of events', () => {
  test('loses nothing, has no gaps and keeps its order while sixteen writers write', async ({
    databaseUrl,
    database,
  }) => {
    await using writers = connectDatabase(databaseUrl, { maxConnections: 16 })
    await using listener = await startListener(databaseUrl)
    const shared = await Promise.all(Array.from({ length: 4 }, () => enqueue(database)))
    const feed = watchJobEvents(database, listener)
    const write = async (writer: number) => {
      for (let round = 0; round < 25; round++) {
        const own = await enqueue(writers.database)
        await writers.database.transaction(async (tx) => {
          await note(tx, shared[(writer + round) % 4]?.id ?? '')
          // Commits come in another order than the events were numbered in.
          if (round % 3 === 0) await tx.execute(sql`select pg_sleep(${(writer % 5) / 200})`)
          await note(tx, own.id)
        })
      }
    }
    const writing = Promise.all(Array.from({ length: 16 }, (_, writer) => write(writer)))
    const events = await take(feed, 4 + 16 * 25 * 3)
    await writing
    await feed.return?.()
    expect(new Set(events.map(place)).size).toBe(events.length)
    expectWhole(events)
  })

  test('waits for a transaction that is slow to commit, and never skips it', async ({ databaseUrl, database }) => {
    await using listener = await startListener(databaseUrl)
    const feed = watchJobEvents(database, listener)
    const first = await enqueue(database)
    expect(await take(feed, 1)).toMatchObject([{ jobId: first.id }])
    const { promise: written, resolve: tellWritten } = Promise.withResolvers<string>()
    const { promise: released, resolve: release } = Promise.withResolvers<void>()
    const slow = database.transaction(async (tx) => {
      tellWritten((await enqueue(tx)).id)
      await released
    })
    const slowId = await written
    const quick = await enqueue(database)
    const page = await readJobEvents(database, { limit: 10 })
    expect(page).toMatchObject({ events: [{ jobId: first.id }], isHeldUp: true })
    const next = feed.next()
    release()
    await slow
    expect((await next).value).toMatchObject({ jobId: slowId })
    expect(await take(feed, 1)).toMatchObject([{ jobId: quick.id }])
    await feed.return?.()
  })

  test('goes on behind any of its cursors', async ({ database }) => {
    for (let index = 0; index < 7; index++) await enqueue(database)
    const all = (await readAll(database)).events
    for (const [index, event] of all.entries()) {
      const rest = await readAll(database, { after: cursorOf(event) })
      expect(rest.events).toEqual(all.slice(index + 1))
      expect((await readAll(database, { after: rest.cursor })).events).toEqual([])
    }
    const paged = await readJobEvents(database, { limit: 3 })
    expect(paged).toMatchObject({ isFull: true, cursor: cursorOf(all[2] ?? raise()) })
    const end = await findFeedEnd(database)
    expect(await isOfThisDatabase(database, end)).toBe(true)
    expect((await readAll(database, { after: end })).events).toEqual([])
    const { id } = await enqueue(database)
    const later = await readAll(database, { after: end })
    expect(later.events).toMatchObject([{ jobId: id }])
    expect(encodeFeedCursor(later.cursor)).not.toBe(encodeFeedCursor(end))
  })

  test('gives only what the filter asks for', async ({ databaseUrl, database }) => {
    await using listener = await startListener(databaseUrl)
    const instanceId = crypto.randomUUID()
    const wanted = await enqueue(database, { subject: { instanceId } })
    const other = await enqueue(database, { operation: 'RESTORE' })
    await note(database, other.id)
    await requestCancel(database, { jobId: wanted.id, actor: 'ann', now: new Date() })
    const read = async (filter: Parameters<typeof readJobEvents>[1]['filter']) => {
      const { events } = await readAll(database, { ...(filter && { filter }) })
      return events.map(({ jobId, type }) => `${jobId === wanted.id ? 'wanted' : 'other'} ${type}`)
    }
    expect(await read({ instanceId })).toEqual(['wanted QUEUED', 'wanted CANCEL_REQUESTED', 'wanted ENDED'])
    expect(await read({ jobIds: [other.id] })).toEqual(['other QUEUED', 'other NOTED'])
    expect(await read({ operations: ['RESTORE'], types: ['NOTED'] })).toEqual(['other NOTED'])
    expect(await read({ vaultId: crypto.randomUUID() })).toEqual([])
    expect(await read({ types: [] })).toEqual([])
    const feed = watchJobEvents(database, listener, { filter: { jobIds: [other.id] } })
    expect((await take(feed, 2)).map(({ type }) => type)).toEqual(['QUEUED', 'NOTED'])
    await note(database, wanted.id)
    await note(database, other.id, 'again')
    expect(await take(feed, 1)).toMatchObject([{ jobId: other.id, data: { message: 'again' } }])
    await feed.return?.()
  })

  test('goes on when the connection for notifications is lost in the middle, and when the pool is', async ({
    databaseUrl,
    database,
  }) => {
    await using proxy = await startProxy(databaseUrl)
    await using reader = connectDatabase(proxy.url)
    await using listener = await startListener(proxy.url)
    const feed = watchJobEvents(reader.database, listener)
    const { id } = await enqueue(database)
    const writing = (async () => {
      for (let index = 0; index < 300; index++) {
        await note(database, id)
        if (index % 100 === 50) proxy.cut()
        if (index % 100 === 70) await proxy.heal()
      }
    })()
    const events = await take(feed, 301)
    await writing
    await feed.return?.()
    expectWhole(events)
  })
})

describe('watching one job', () => {
  test('shows it as it is, then each change, and completes when it ends', async ({ databaseUrl, database }) => {
    const { promise: released, resolve: release } = Promise.withResolvers<void>()
    const { id } = await enqueue(database)
    await using worker = await testRunner(
      databaseUrl,
      handlerThat(async () => {
        await released
        return completed
      }),
    )
    await waitFor('it runs', () => worker.runner.running === 1)
    const states = watchJob(database, worker.listener, id)
    expect((await states.next()).value?.status).toBe('IN_PROGRESS')
    release()
    expect((await within('it ends', states.next())).value?.status).toBe('COMPLETED')
    expect(await states.next()).toEqual({ done: true, value: undefined })
    const again = watchJob(database, worker.listener, id)
    expect((await again.next()).value?.status).toBe('COMPLETED')
    expect((await again.next()).done).toBe(true)
    expect((await watchJob(database, worker.listener, crypto.randomUUID()).next()).done).toBe(true)
  })

  test('sees every change that is not at once followed by another', async ({ databaseUrl, database }) => {
    await using listener = await startListener(databaseUrl)
    const { id } = await enqueue(database)
    const states = watchJob(database, listener, id)
    expect((await states.next()).value?.eventSequence).toBe(1)
    for (let sequence = 2; sequence < 20; sequence++) {
      await note(database, id)
      expect((await within('the change', states.next())).value?.eventSequence).toBe(sequence)
    }
    await states.return?.()
  })
})

describe('a watcher that leaves', () => {
  test('is freed while it waits, whichever way it leaves', async ({ databaseUrl, database }) => {
    await using real = await startListener(databaseUrl)
    let subscribers = 0
    const listener = {
      ...real,
      subscribe(...args: Parameters<typeof real.subscribe>) {
        const leave = real.subscribe(...args)
        subscribers++
        return () => {
          subscribers--
          leave()
        }
      },
    }
    const { id } = await enqueue(database)
    const leaving = new AbortController()
    const feeds = [
      watchJobEvents(database, listener),
      watchJob(database, listener, id),
      watchJobEvents(database, listener, { signal: leaving.signal }),
      watchJob(database, listener, id, { signal: leaving.signal }),
      watchJobEvents(database, listener, { signal: AbortSignal.abort() }),
    ]
    expect(subscribers).toBe(4)
    for (const feed of feeds.slice(0, 4)) await feed.next()
    const waiting = feeds.map((feed) => feed.next())
    await Promise.all(feeds.slice(0, 2).map((feed) => feed.return?.()))
    leaving.abort()
    for (const end of await within('all end', Promise.all(waiting)))
      expect(end).toEqual({ done: true, value: undefined })
    expect(subscribers).toBe(0)
    for (const feed of feeds) expect((await feed.next()).done).toBe(true)
  })

  test('before it has read anything is freed too', async ({ databaseUrl, database }) => {
    await using worker = await testRunner(
      databaseUrl,
      handlerThat(async () => completed),
    )
    const feed = watchJobEvents(database, worker.listener)
    const reading = feed.next()
    await feed.return?.()
    expect((await within('it ends', reading)).done).toBe(true)
    await ended(worker, (await enqueue(database)).id)
    expect((await feed.next()).done).toBe(true)
  })
})

function raise(): never {
  throw new Error('It is not there.')
}
