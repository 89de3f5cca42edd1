import { sql } from 'drizzle-orm'
import { describe, expect } from 'vitest'
import { jobs } from '../src/database/tables/job.ts'
import { eventsOf } from './kit/events.ts'
import { completed, ended, enqueue, errorSaying, handlerThat, jobOf, stopped, testRunner } from './kit/runner.ts'
import { test } from './kit/test.ts'
import { waitFor } from './kit/wait-for.ts'

async function typesOf(database: Parameters<typeof eventsOf>[0], jobId: string) {
  const { rows } = await eventsOf(database, jobId, { first: 1000 })
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

  test('that fails can say what it brought about all the same', async ({ databaseUrl, database }) => {
    await using worker = await testRunner(
      databaseUrl,
      handlerThat(async () => ({ kind: 'failed', error: errorSaying('BROKEN'), result: { differences: ['a\0b'] } })),
    )
    const job = await ended(worker, (await enqueue(database)).id)
    expect(job).toMatchObject({ status: 'FAILED', error: { code: 'BROKEN' }, result: { differences: ['ab'] } })
  })

  test('keeps for its later attempts what they must know, at once', async ({ databaseUrl, database }) => {
    const found: unknown[] = []
    await using worker = await testRunner(
      databaseUrl,
      handlerThat(async (run) => {
        found.push(run.job.kept)
        await run.keep({ attempt: run.job.attempt })
        const [row] = await database.select({ kept: jobs.kept }).from(jobs)
        found.push(row?.kept)
        if (run.job.attempt === 1) throw new Error('again')
        return completed
      }),
    )
    const { id } = await enqueue(database, { maxAttempts: 2 })
    await database
      .update(jobs)
      .set({ runAt: new Date(0) })
      .where(sql`status = 'QUEUED' and attempt = 1`)
    await ended(worker, id)
    expect(found).toEqual([null, { attempt: 1 }, { attempt: 1 }, { attempt: 2 }])
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

  test('that says it may leave something behind is cleaned up when it ends without a result, and only then', async ({
    databaseUrl,
    database,
  }) => {
    const cleaned: string[] = []
    await using worker = await testRunner(
      databaseUrl,
      handlerThat(
        async (run) => {
          run.leavesBehind()
          if (run.job.instanceName === 'failing') throw new Error('it did not work')
          return completed
        },
        { abandon: async ({ job }) => void cleaned.push(`${job.instanceName} before ${job.attempt}`) },
      ),
    )
    const jobs = [
      await enqueue(database, { subject: { instanceName: 'failing' } }),
      await enqueue(database, { subject: { instanceName: 'working' } }),
    ]
    const [failing, working] = await Promise.all(jobs.map(({ id }) => ended(worker, id)))
    expect(failing).toMatchObject({ status: 'FAILED', mayHaveLeftovers: true })
    expect(working).toMatchObject({ status: 'COMPLETED' })
    expect(cleaned).toEqual(['failing before 2'])
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
