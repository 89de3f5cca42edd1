import { sql } from 'drizzle-orm'
import { describe, expect } from 'vitest'
import { jobs } from '../src/database/tables/job.ts'
import { enqueueJob, PendingJobExists } from '../src/job/enqueue.ts'
import { eventsOf } from './kit/events.ts'
import { completed, ended, enqueue, handlerThat, jobOf, stopped, testRunner } from './kit/runner.ts'
import { test } from './kit/test.ts'
import { waitFor, within } from './kit/wait-for.ts'

describe('several workers', () => {
  test('perform one job once', async ({ databaseUrl, database }) => {
    let performed = 0
    const handler = handlerThat(async () => {
      performed++
      return completed
    })
    await using one = await testRunner(databaseUrl, handler)
    await using _two = await testRunner(databaseUrl, handler)
    for (let round = 0; round < 20; round++) await ended(one, (await enqueue(database)).id)
    expect(performed).toBe(20)
  })

  test('perform 200 jobs, each exactly once, the oldest first', async ({ databaseUrl, database }) => {
    const performed: string[] = []
    const handler = handlerThat(async ({ job }) => {
      performed.push(job.id)
      return completed
    })
    const expected: string[] = []
    await database.transaction(async (tx) => {
      for (let index = 0; index < 200; index++) {
        const runAt = new Date(Date.now() - 1_000_000 + index * 1000)
        const base = { operation: 'BACKUP', trigger: 'USER', input: {}, subject: {}, actor: 'tester' } as const
        expected.push((await enqueueJob(tx, { ...base, now: new Date(), runAt })).id)
      }
    })
    await using workers = new AsyncDisposableStack()
    for (let index = 0; index < 4; index++) workers.use(await testRunner(databaseUrl, handler, { concurrency: 5 }))
    await waitFor('all are done', () => performed.length >= 200, { withinMs: 20_000 })
    await waitFor('all have ended', async () => {
      const counts = await database.execute(sql`select status, count(*)::int from jobs group by status`)
      return counts.length === 1 && counts[0]?.status === 'COMPLETED'
    })
    expect([...performed].sort()).toEqual([...expected].sort())
    const places = performed.map((id) => expected.indexOf(id))
    // Twenty run at once, so a job may be overtaken by those claimed with it, and by no other.
    for (const [place, order] of places.entries()) expect(Math.abs(place - order)).toBeLessThan(40)
  })

  test('never pass the limit of a lane, nor let a full one hold up others', async ({ databaseUrl, database }) => {
    const running = new Map<string, number>()
    const most = new Map<string, number>()
    const handler = handlerThat(async ({ job }) => {
      for (const lane of job.lanes) {
        running.set(lane, (running.get(lane) ?? 0) + 1)
        most.set(lane, Math.max(most.get(lane) ?? 0, running.get(lane) ?? 0))
      }
      await new Promise((resolve) => setTimeout(resolve, 15))
      for (const lane of job.lanes) running.set(lane, (running.get(lane) ?? 0) - 1)
      return completed
    })
    await using workers = new AsyncDisposableStack()
    const limits = { concurrency: 10, laneLimits: { server: 1, vault: 3 } }
    for (let index = 0; index < 3; index++) workers.use(await testRunner(databaseUrl, handler, limits))
    for (let index = 0; index < 60; index++) {
      const lanes = [`server:${index % 4}`, `vault:${index % 2}`, 'free:0']
      await enqueue(database, { lanes: index < 30 ? ['server:busy', ...lanes.slice(1)] : lanes })
    }
    await waitFor('all have ended', async () => {
      const [row] = await database.execute(sql`select count(*)::int as left from jobs where status <> 'COMPLETED'`)
      return row?.left === 0
    })
    expect(most.get('server:busy')).toBe(1)
    for (const server of [0, 1, 2, 3]) expect(most.get(`server:${server}`)).toBe(1)
    expect(Math.max(most.get('vault:0') ?? 0, most.get('vault:1') ?? 0)).toBeLessThanOrEqual(3)
  })

  test('a job behind a full lane does not wait longer than the lane is full', async ({ databaseUrl, database }) => {
    const { promise: released, resolve: release } = Promise.withResolvers<void>()
    const order: string[] = []
    const handler = handlerThat(async ({ job }) => {
      if (job.instanceName === 'first') await released
      order.push(job.instanceName ?? '')
      return completed
    })
    await using one = await testRunner(databaseUrl, handler, { laneLimits: { server: 1 } })
    await using _two = await testRunner(databaseUrl, handler, { laneLimits: { server: 1 } })
    const named = (instanceName: string, lanes: string[]) => enqueue(database, { lanes, subject: { instanceName } })
    await named('first', ['server:a'])
    await waitFor('the first runs', () => one.runner.running + _two.runner.running === 1)
    const second = await named('second', ['server:a'])
    await ended(one, (await named('other', ['server:b'])).id)
    expect((await jobOf(database, second.id)).status).toBe('QUEUED')
    release()
    await ended(one, second.id)
    expect(order).toEqual(['other', 'first', 'second'])
  })
})

describe('an exclusive key', () => {
  test('is had by one of many who ask at once, and is free again when its job ends', async ({
    databaseUrl,
    database,
  }) => {
    const { promise: released, resolve: release } = Promise.withResolvers<void>()
    const attempts = await Promise.allSettled(
      Array.from({ length: 12 }, () => enqueue(database, { exclusiveKey: 'backup:1' })),
    )
    const [winner, ...others] = attempts.filter(({ status }) => status === 'fulfilled')
    expect(others).toEqual([])
    const id = winner?.status === 'fulfilled' ? winner.value.id : ''
    for (const attempt of attempts) {
      if (attempt.status === 'rejected') expect(attempt.reason).toMatchObject({ name: 'PendingJobExists', jobId: id })
    }
    await using worker = await testRunner(
      databaseUrl,
      handlerThat(async () => {
        await released
        return completed
      }),
    )
    await waitFor('it runs', () => worker.runner.running === 1)
    await expect(enqueue(database, { exclusiveKey: 'backup:1' })).rejects.toBeInstanceOf(PendingJobExists)
    release()
    await ended(worker, id)
    expect((await enqueue(database, { exclusiveKey: 'backup:1' })).status).toBe('QUEUED')
  })

  test('that is taken leaves the transaction of who asked usable', async ({ database }) => {
    const first = await enqueue(database, { exclusiveKey: 'k' })
    await database.transaction(async (tx) => {
      const base = {
        operation: 'BACKUP',
        trigger: 'USER',
        input: {},
        subject: {},
        actor: 'a',
        now: new Date(),
      } as const
      await expect(enqueueJob(tx, { ...base, exclusiveKey: 'k' })).rejects.toMatchObject({ jobId: first.id })
      await enqueueJob(tx, { ...base, exclusiveKey: 'other' })
    })
    expect(await database.$count(jobs)).toBe(2)
  })
})

describe('a worker that shuts down', () => {
  test('hands its jobs back at no cost, and another one goes on', async ({ databaseUrl, database }) => {
    const runs: number[] = []
    const handler = handlerThat(async (run) => {
      runs.push(run.job.attempt)
      if (runs.length > 2) return completed
      throw await stopped(run)
    })
    const { id } = await enqueue(database, { maxAttempts: 1 })
    for (let round = 1; round <= 2; round++) {
      await using worker = await testRunner(databaseUrl, handler)
      await waitFor('it runs', () => runs.length === round)
      await within('it stops', Promise.resolve(worker.runner[Symbol.asyncDispose]()), { withinMs: 3_000 })
      expect(await jobOf(database, id)).toMatchObject({ status: 'QUEUED', workerId: null, handBacks: round })
    }
    await using worker = await testRunner(databaseUrl, handler)
    expect(await ended(worker, id)).toMatchObject({ status: 'COMPLETED', attempt: 3 })
    expect(runs).toEqual([1, 2, 3])
    const { rows } = await eventsOf(database, id, { first: 20 })
    expect(rows.map(({ type }) => type)).toEqual([
      'QUEUED',
      'STARTED',
      'HANDED_BACK',
      'STARTED',
      'HANDED_BACK',
      'STARTED',
      'ENDED',
    ])
  })

  test('waits for work that is just being done, which counts', async ({ databaseUrl, database }) => {
    const worker = await testRunner(
      databaseUrl,
      handlerThat(async (run) => {
        await stopped(run)
        return completed
      }),
    )
    const { id } = await enqueue(database)
    await waitFor('it runs', () => worker.runner.running === 1)
    await worker[Symbol.asyncDispose]()
    expect((await jobOf(database, id)).status).toBe('COMPLETED')
  })

  test('does not wait for ever for work that does not stop', async ({ databaseUrl, database }) => {
    const worker = await testRunner(
      databaseUrl,
      handlerThat(() => new Promise(() => {})),
      { graceMs: 50 },
    )
    const { id } = await enqueue(database)
    await waitFor('it runs', () => worker.runner.running === 1)
    await within('it stops', Promise.resolve(worker[Symbol.asyncDispose]()), { withinMs: 3_000 })
    expect(await jobOf(database, id)).toMatchObject({ status: 'QUEUED', mayHaveLeftovers: true })
  })
})

describe('a lane set aside', () => {
  const aside = { lane: 'verify', places: 1 }
  const limits = { concurrency: 1, laneLimits: { vault: 1, verify: 1 }, aside }

  test('takes no place of another job, however long its own are at it', async ({ databaseUrl, database }) => {
    const { promise: released, resolve: release } = Promise.withResolvers<void>()
    const handler = handlerThat(async ({ job }) => {
      if (job.lanes.includes('verify:a')) await released
      return completed
    })
    await using worker = await testRunner(databaseUrl, handler, limits)
    const stuck = await enqueue(database, { lanes: ['verify:a'] })
    const behind = await enqueue(database, { lanes: ['verify:b'] })
    await waitFor('it runs', () => worker.runner.running === 1)
    // The one place for all others is free, in the same vault too.
    for (let index = 0; index < 5; index++) {
      expect((await ended(worker, (await enqueue(database, { lanes: ['vault:a'] })).id)).status).toBe('COMPLETED')
    }
    expect((await jobOf(database, stuck.id)).status).toBe('IN_PROGRESS')
    expect((await jobOf(database, behind.id)).status).toBe('QUEUED')
    release()
    expect((await ended(worker, behind.id)).status).toBe('COMPLETED')
  })

  test('is not held up by the others either', async ({ databaseUrl, database }) => {
    const { promise: released, resolve: release } = Promise.withResolvers<void>()
    const handler = handlerThat(async ({ job }) => {
      if (job.lanes.includes('vault:a')) await released
      return completed
    })
    await using worker = await testRunner(databaseUrl, handler, limits)
    const long = await enqueue(database, { lanes: ['vault:a'] })
    await enqueue(database, { lanes: ['vault:a'] })
    await waitFor('it runs', () => worker.runner.running === 1)
    const verification = await enqueue(database, { lanes: ['verify:a'] })
    expect((await ended(worker, verification.id)).status).toBe('COMPLETED')
    release()
    await ended(worker, long.id)
  })
})
