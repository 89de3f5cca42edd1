import { sql } from 'drizzle-orm'
import { describe, expect } from 'vitest'
import { jobs } from '../src/database/tables/job.ts'
import { enqueueJob, PendingJobExists } from '../src/job/enqueue.ts'
import { pageEventsOfJob } from '../src/job/events.ts'
import { completed, ended, enqueue, errorSaying, handlerThat, jobOf, stopped, testRunner } from './kit/runner.ts'
import { test } from './kit/test.ts'
import { waitFor, within } from './kit/wait-for.ts'

async function typesOf(database: Parameters<typeof pageEventsOfJob>[0], jobId: string) {
  const { rows } = await pageEventsOfJob(database, jobId, { first: 1000 })
  expect(rows.map(({ sequence }) => sequence)).toEqual(rows.map((_, index) => index + 1))
  return rows.map(({ type }) => type)
}

describe('a job', () => {
  test('is performed, and says what it did', async ({ databaseUrl, database }) => {
    await using worker = await testRunner(
      databaseUrl,
      handlerThat(async (run) => {
        expect(run.job.input).toEqual({ size: 3 })
        run.note('Tools', 'the newest')
        await run.subTask('Dump "a"', async (task) => task.progress({ bytesDone: 7, bytesTotal: 9 }))
        run.progress({ bytesDone: 10, bytesTotal: 10, rowsDone: 4 })
        return { kind: 'completed', result: { files: 1, name: 'a\0b' } }
      }),
    )
    const { id } = await enqueue(database, { input: { size: 3 } })
    const job = await ended(worker, id)
    expect(job).toMatchObject({
      status: 'COMPLETED',
      attempt: 1,
      bytesDone: 10,
      bytesTotal: 10,
      rowsDone: 4,
      rowsTotal: null,
      result: { files: 1, name: 'ab' },
      notes: [{ name: 'Tools', value: 'the newest' }],
      error: null,
      leaseUntil: null,
    })
    expect(job.startedAt && job.endedAt && job.startedAt <= job.endedAt).toBe(true)
    const types = await typesOf(database, id)
    expect(types.slice(0, 2)).toEqual(['QUEUED', 'STARTED'])
    expect(types.filter((type) => type === 'SUB_TASK_CHANGED')).toHaveLength(2)
    expect(types.at(-1)).toBe('ENDED')
  })

  test('that warns completes with warnings', async ({ databaseUrl, database }) => {
    await using worker = await testRunner(
      databaseUrl,
      handlerThat(async (run) => {
        run.warn('One table was empty.')
        run.warn('One table was empty.')
        return completed
      }),
    )
    const job = await ended(worker, (await enqueue(database)).id)
    expect(job).toMatchObject({ status: 'COMPLETED_WITH_WARNINGS', warnings: ['One table was empty.'] })
  })

  test('records its outcome in the transaction that ends it', async ({ databaseUrl, database }) => {
    await database.execute(sql`create table facts (job_id uuid)`)
    await using worker = await testRunner(
      databaseUrl,
      handlerThat(async ({ job }) => ({
        kind: 'completed',
        record: async (tx) => {
          await tx.execute(sql`insert into facts values (${job.id})`)
          const [seen] = await database.select({ status: jobs.status }).from(jobs)
          expect(seen?.status).toBe('IN_PROGRESS')
        },
      })),
    )
    const { id } = await enqueue(database)
    expect((await ended(worker, id)).status).toBe('COMPLETED')
    expect(await database.execute(sql`select job_id from facts`)).toEqual([{ job_id: id }])
  })

  test('whose outcome cannot be recorded fails, records nothing and is cleaned up', async ({
    databaseUrl,
    database,
  }) => {
    await database.execute(sql`create table facts (job_id uuid)`)
    const cleaned: number[] = []
    await using worker = await testRunner(
      databaseUrl,
      handlerThat(
        async ({ job }) => ({
          kind: 'completed',
          record: async (tx) => {
            await tx.execute(sql`insert into facts values (${job.id})`)
            throw new Error('the place is taken')
          },
        }),
        { abandon: async ({ job }) => void cleaned.push(job.attempt) },
      ),
    )
    const job = await ended(worker, (await enqueue(database)).id)
    expect(job).toMatchObject({ status: 'FAILED', error: { code: 'THROWN', details: 'the place is taken' } })
    expect(await database.execute(sql`select job_id from facts`)).toEqual([])
    expect(cleaned).toEqual([2])
  })

  test('for which this worker has no handler is left alone', async ({ databaseUrl, database }) => {
    await using worker = await testRunner(
      databaseUrl,
      handlerThat(async () => completed),
    )
    const restore = await enqueue(database, { operation: 'RESTORE' })
    const backup = await enqueue(database)
    await ended(worker, backup.id)
    expect((await jobOf(database, restore.id)).status).toBe('QUEUED')
  })

  test('that is not due waits for its moment', async ({ databaseUrl, database }) => {
    await using worker = await testRunner(
      databaseUrl,
      handlerThat(async () => completed),
    )
    const later = await enqueue(database, { runAt: new Date(Date.now() + 3_600_000) })
    const now = await enqueue(database)
    await ended(worker, now.id)
    expect((await jobOf(database, later.id)).status).toBe('QUEUED')
    await database.update(jobs).set({ runAt: sql`now()` }).where(sql`id = ${later.id}`)
    expect((await ended(worker, later.id)).status).toBe('COMPLETED')
  })
})

describe('a job that fails', () => {
  test('is tried again later, and only as often as it may', async ({ databaseUrl, database }) => {
    const attempts: number[] = []
    await using worker = await testRunner(
      databaseUrl,
      handlerThat(async ({ job, warn }) => {
        attempts.push(job.attempt)
        warn(`attempt ${job.attempt}`)
        throw new Error(`no luck, try again ${job.attempt}`)
      }),
    )
    const { id } = await enqueue(database, { maxAttempts: 2 })
    const waiting = await waitFor('a retry is planned', async () => {
      const job = await jobOf(database, id)
      return job.status === 'QUEUED' && job.attempt === 1 && job
    })
    const delayMs = waiting.runAt.getTime() - Date.now()
    expect(delayMs).toBeGreaterThan(3_000)
    expect(delayMs).toBeLessThan(6_000)
    expect(waiting).toMatchObject({ workerId: null, leaseUntil: null, error: { details: 'no luck, try again 1' } })
    await database.update(jobs).set({ runAt: sql`now()` })
    const job = await ended(worker, id)
    expect(job).toMatchObject({ status: 'FAILED', attempt: 2, error: { details: 'no luck, try again 2' } })
    expect(job.warnings).toEqual(['attempt 2'])
    expect(attempts).toEqual([1, 2])
    const types = await typesOf(database, id)
    expect(types.filter((type) => type === 'RETRY_SCHEDULED')).toHaveLength(1)
  })

  test('for good is not tried again, and its open sub tasks are closed', async ({ databaseUrl, database }) => {
    await using worker = await testRunner(
      databaseUrl,
      handlerThat(async (run) => {
        void run.subTask('Never ends', () => new Promise(() => {}))
        await run.subTask('Throws', async () => Promise.reject(new Error('hopeless')))
        return completed
      }),
    )
    const { id } = await enqueue(database)
    expect(await ended(worker, id)).toMatchObject({ status: 'FAILED', attempt: 1, error: { details: 'hopeless' } })
    const tasks = await database.execute(sql`select name, status from job_sub_tasks order by position`)
    expect(tasks).toEqual([
      { name: 'Never ends', status: 'FAILED' },
      { name: 'Throws', status: 'FAILED' },
    ])
  })

  test('says what its handler answered, with bytes the database cannot keep left out', async ({
    databaseUrl,
    database,
  }) => {
    await using worker = await testRunner(
      databaseUrl,
      handlerThat(async () => ({ kind: 'failed', error: errorSaying('BROKEN', { details: 'a\0\ud800b' }) })),
    )
    const job = await ended(worker, (await enqueue(database)).id)
    expect(job.error).toMatchObject({ code: 'BROKEN', details: 'a\ufffdb' })
  })
})

describe('limits of an attempt', () => {
  test('a job that takes too long is stopped and fails with TIME_LIMIT', async ({ databaseUrl, database }) => {
    await using worker = await testRunner(
      databaseUrl,
      handlerThat(async (run) => Promise.reject(await stopped(run)), { ceilingMs: 50 }),
    )
    const job = await ended(worker, (await enqueue(database)).id)
    expect(job).toMatchObject({ status: 'FAILED', error: { code: 'TIME_LIMIT' } })
  })

  test('a job without progress is stopped and fails with NO_PROGRESS; one that goes on is not', async ({
    databaseUrl,
    database,
  }) => {
    let bytesDone = 0
    await using worker = await testRunner(
      databaseUrl,
      handlerThat(
        async (run) => {
          const isLively = run.job.instanceName === 'lively'
          const timer = setInterval(() => run.progress({ bytesDone: isLively ? ++bytesDone : 1 }), 20)
          const isDone = new Promise<false>((resolve) => setTimeout(resolve, 1_000, false))
          const reason = await Promise.race([stopped(run), isDone]).finally(() => clearInterval(timer))
          if (reason) throw reason
          return completed
        },
        { stallMs: 400 },
      ),
    )
    const [stuck, lively] = await Promise.all([
      enqueue(database, { subject: { instanceName: 'stuck' } }),
      enqueue(database, { subject: { instanceName: 'lively' } }),
    ])
    expect(await ended(worker, stuck.id)).toMatchObject({ status: 'FAILED', error: { code: 'NO_PROGRESS' } })
    expect((await ended(worker, lively.id)).status).toBe('COMPLETED')
  })

  test('a handler that ignores the signal is given up, and its place is free for others', async ({
    databaseUrl,
    database,
  }) => {
    const { promise: forever, resolve: atLast } = Promise.withResolvers<void>()
    await using worker = await testRunner(
      databaseUrl,
      handlerThat(
        async ({ job }) => {
          if (job.instanceName === 'deaf') await forever
          return completed
        },
        { ceilingMs: 50 },
      ),
      { concurrency: 1, graceMs: 100 },
    )
    const deaf = await enqueue(database, { subject: { instanceName: 'deaf' } })
    const next = await enqueue(database)
    expect(await ended(worker, deaf.id)).toMatchObject({
      status: 'FAILED',
      mayHaveLeftovers: true,
      error: { code: 'TIME_LIMIT' },
    })
    expect((await ended(worker, next.id)).status).toBe('COMPLETED')
    const before = await jobOf(database, deaf.id)
    atLast()
    await waitFor('the worker is idle', () => worker.runner.running === 0)
    expect(await jobOf(database, deaf.id)).toEqual(before)
  })
})

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
    expect(most.get('free:0')).toBeGreaterThan(3)
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
    expect(await typesOf(database, id)).toEqual([
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
