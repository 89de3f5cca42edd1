import { eq, sql } from 'drizzle-orm'
import postgres from 'postgres'
import { describe, expect, onTestFinished } from 'vitest'
import { connectDatabase } from '../src/database/connect.ts'
import { jobEvents, jobs } from '../src/database/tables/job.ts'
import { requestCancel } from '../src/job/cancel.ts'
import type { StopReason } from '../src/job/handler.ts'
import { rescueLapsed } from '../src/job/lease/rescue.ts'
import { startProxy } from './kit/proxy.ts'
import { completed, ended, enqueue, handlerThat, jobOf, rememberingLog, stopped, testRunner } from './kit/runner.ts'
import { test } from './kit/test.ts'
import { waitFor, within } from './kit/wait-for.ts'
import { startWorkerProcess } from './kit/worker-process.ts'

const leaseMs = 1_000
type Given = Parameters<typeof enqueue>[0]

/** As if the worker had been lost long ago: its lease is over. */
async function endLease(database: Given, id: string, { attempt = 1 } = {}): Promise<void> {
  await database
    .update(jobs)
    .set({
      status: 'IN_PROGRESS',
      workerId: 'gone',
      attempt,
      leaseUntil: sql`now() - interval '1 minute'`,
      startedAt: sql`now() - interval '2 minutes'`,
    })
    .where(eq(jobs.id, id))
}

async function eventsOf(database: Given, id: string) {
  return database.select().from(jobEvents).where(eq(jobEvents.jobId, id)).orderBy(jobEvents.sequence)
}

describe('a lost worker', () => {
  test('that was killed is replaced within its lease and five seconds', async ({ databaseUrl, database }) => {
    await using killed = await startWorkerProcess(databaseUrl, { leaseMs })
    const { id } = await enqueue(database)
    await killed.told('performing')
    await using worker = await testRunner(
      databaseUrl,
      handlerThat(async () => completed),
      { leaseMs },
    )
    killed.signal('SIGKILL')
    const killedAt = performance.now()
    const job = await ended(worker, id)
    expect(performance.now() - killedAt).toBeLessThan(leaseMs + 5_000)
    expect(job).toMatchObject({ status: 'COMPLETED', attempt: 2, workerId: worker.workerId, mayHaveLeftovers: true })
    const types = (await eventsOf(database, id)).map(({ type }) => type).filter((type) => type !== 'PROGRESSED')
    expect(types).toEqual(['QUEUED', 'STARTED', 'RESCUED', 'STARTED', 'ENDED'])
  })

  test('that was frozen past its lease and wakes writes nothing', async ({ databaseUrl, database }) => {
    await using frozen = await startWorkerProcess(databaseUrl, { leaseMs })
    const { id } = await enqueue(database)
    await frozen.told('performing')
    frozen.signal('SIGSTOP')
    await using worker = await testRunner(
      databaseUrl,
      handlerThat(async ({ job }) => ({ kind: 'completed', result: job.attempt })),
      { leaseMs },
    )
    expect(await ended(worker, id)).toMatchObject({ status: 'COMPLETED', result: 2 })
    const [job, events] = [await jobOf(database, id), await eventsOf(database, id)]
    await worker.runner[Symbol.asyncDispose]()
    frozen.signal('SIGCONT')
    expect(await frozen.told('stopped')).toMatchObject({ reason: 'LEASE_LOST' })
    // It takes the next job, so it has gone through all that it does after the last one.
    const next = await enqueue(database)
    await waitFor('it works on', async () => (await jobOf(database, next.id)).workerId === frozen.workerId)
    expect(await jobOf(database, id)).toEqual(job)
    expect(await eventsOf(database, id)).toEqual(events)
  })

  test('that was frozen past its lease notices by itself, also when nobody took over', async ({
    databaseUrl,
    database,
  }) => {
    await using frozen = await startWorkerProcess(databaseUrl, { leaseMs })
    const { id } = await enqueue(database, { maxAttempts: 9 })
    await frozen.told('performing')
    frozen.signal('SIGSTOP')
    await waitFor('its lease is over', async () => {
      const [row] = await database.execute(sql`select lease_until < now() as is_over from jobs`)
      return row?.is_over === true
    })
    frozen.signal('SIGCONT')
    expect(await frozen.told('stopped')).toMatchObject({ reason: 'LEASE_LOST' })
    await waitFor('it is rescued', async () => (await jobOf(database, id)).attempt > 1)
    expect(await jobOf(database, id)).toMatchObject({ warnings: [] })
  })

  test('frozen inside a transaction holds nobody up for long', async ({ databaseUrl, database }) => {
    await using frozen = await startWorkerProcess(databaseUrl, { leaseMs, mode: 'recording' })
    const { id } = await enqueue(database)
    await frozen.told('recording')
    frozen.signal('SIGSTOP')
    const frozenAt = performance.now()
    await using worker = await testRunner(
      databaseUrl,
      handlerThat(async () => completed),
      { leaseMs },
    )
    expect(await ended(worker, id)).toMatchObject({ status: 'COMPLETED', attempt: 2 })
    expect(performance.now() - frozenAt).toBeLessThan(leaseMs + 8_000)
  })
})

describe('a settlement that takes longer than a lease', () => {
  test('costs no other job of its worker the lease, and counts itself', async ({ databaseUrl, database }) => {
    const longLeaseMs = 3_000
    const holder = postgres(databaseUrl, { max: 1 })
    onTestFinished(() => holder.end())
    await holder`select pg_advisory_lock(1)`
    const settling = Promise.withResolvers<void>()
    const { promise: released, resolve: release } = Promise.withResolvers<void>()
    const reasons: unknown[] = []
    await using worker = await testRunner(
      databaseUrl,
      handlerThat(async (run) => {
        if (run.job.input === 'slow') {
          const record = async (tx: Given) => {
            settling.resolve()
            await tx.execute(sql`select pg_advisory_xact_lock(1)`)
          }
          return { kind: 'completed', record }
        }
        run.signal.addEventListener('abort', () => reasons.push(run.signal.reason))
        await released
        return completed
      }),
      { leaseMs: longLeaseMs },
    )
    const other = await enqueue(database, { input: 'other' })
    const slow = await enqueue(database, { input: 'slow' })
    await settling.promise
    const { leaseUntil } = await jobOf(database, other.id)
    await waitFor('a lease to pass, and one more', async () => {
      const [row] =
        await holder`select clock_timestamp() > ${leaseUntil}::timestamptz + ${longLeaseMs} * interval '1 ms' as is_over`
      return row?.is_over
    })
    await holder`select pg_advisory_unlock(1)`
    expect(await ended(worker, slow.id)).toMatchObject({ status: 'COMPLETED', attempt: 1 })
    release()
    expect(await ended(worker, other.id)).toMatchObject({ status: 'COMPLETED', attempt: 1 })
    expect(reasons).toEqual([])
  })
})

describe('a rescue', () => {
  test('is won by one of many, and seen once', async ({ databaseUrl, database }) => {
    const { id } = await enqueue(database)
    await endLease(database, id)
    await using many = connectDatabase(databaseUrl, { maxConnections: 12 })
    const rescued = await Promise.all(Array.from({ length: 12 }, () => rescueLapsed(many.database)))
    expect(rescued.flat().map((job) => job.id)).toEqual([id])
    expect(await jobOf(database, id)).toMatchObject({ status: 'QUEUED', workerId: null, attempt: 1, eventSequence: 2 })
  })

  test('leaves a job whose lease holds alone', async ({ database }) => {
    const { id } = await enqueue(database)
    await endLease(database, id)
    await database.update(jobs).set({ leaseUntil: sql`now() + interval '1 minute'` })
    expect(await rescueLapsed(database)).toEqual([])
  })

  test('of a job with no attempt left cleans up and fails it with WORKER_LOST', async ({ databaseUrl, database }) => {
    const seen: string[] = []
    const { id } = await enqueue(database, { maxAttempts: 2 })
    await endLease(database, id, { attempt: 2 })
    await using worker = await testRunner(
      databaseUrl,
      handlerThat(
        async () => {
          seen.push('performed')
          return completed
        },
        { abandon: async ({ job }) => void seen.push(`cleaned up before ${job.attempt}`) },
      ),
    )
    expect(await ended(worker, id)).toMatchObject({ status: 'FAILED', error: { code: 'WORKER_LOST' } })
    expect(seen).toEqual(['cleaned up before 3'])
  })

  test('of a cancelled job cleans up and cancels it', async ({ databaseUrl, database }) => {
    let cleanUps = 0
    const { id } = await enqueue(database)
    await endLease(database, id)
    expect((await requestCancel(database, { jobId: id, actor: 'ann', now: new Date() })).status).toBe('CANCELLING')
    await using worker = await testRunner(
      databaseUrl,
      handlerThat(async () => completed, { abandon: async () => void cleanUps++ }),
    )
    expect(await ended(worker, id)).toMatchObject({ status: 'CANCELLED', error: null })
    expect(cleanUps).toBe(1)
  })

  test('whose clean-up fails is tried again, then ends saying what is left', async ({ databaseUrl, database }) => {
    let cleanUps = 0
    const { id } = await enqueue(database, { maxAttempts: 1 })
    await endLease(database, id)
    await using worker = await testRunner(
      databaseUrl,
      handlerThat(async () => completed, {
        abandon: async () => {
          cleanUps++
          throw new Error('the vault is away')
        },
      }),
      { pollMs: 50 },
    )
    for (let round = 1; round < 3; round++) {
      await waitFor('the clean-up waits', async () => {
        const job = await jobOf(database, id)
        return job.cleanUps === round && job.workerId === null
      })
      await database.update(jobs).set({ runAt: sql`now()` })
    }
    const job = await ended(worker, id)
    expect(job).toMatchObject({ status: 'FAILED', error: { code: 'WORKER_LOST' } })
    expect(job.warnings.join()).toContain('could not be removed')
    expect(cleanUps).toBe(3)
  })

  test('of a cancelled job interrupted by a shutdown is cleaned up by the next worker', async ({
    databaseUrl,
    database,
  }) => {
    const { id } = await enqueue(database, { maxAttempts: 1 })
    await endLease(database, id)
    let cleanUps = 0
    const handler = handlerThat(async () => completed, {
      abandon: async (run) => {
        cleanUps++
        if (cleanUps === 1) throw await stopped(run)
      },
    })
    const first = await testRunner(databaseUrl, handler)
    await waitFor('it cleans up', () => cleanUps === 1)
    await first[Symbol.asyncDispose]()
    expect(await jobOf(database, id)).toMatchObject({ status: 'QUEUED', attempt: 2, cleanUps: 0, handBacks: 1 })
    await using second = await testRunner(databaseUrl, handler)
    expect(await ended(second, id)).toMatchObject({ status: 'FAILED', error: { code: 'WORKER_LOST' } })
    expect(cleanUps).toBe(2)
  })
})

describe('a worker cut off from the metadata database', () => {
  for (const how of ['cut', 'hangUp', 'stall'] as const) {
    test(`by a ${how} longer than its lease stops its work, and another one takes over`, async ({
      databaseUrl,
      database,
    }) => {
      await using proxy = await startProxy(databaseUrl)
      const reasons: StopReason[] = []
      await using cutOff = await testRunner(
        proxy.url,
        handlerThat(async (run) => {
          reasons.push((await stopped(run)).reason)
          return completed
        }),
        { leaseMs },
      )
      const { id } = await enqueue(database)
      await waitFor('it runs', () => cutOff.runner.running === 1)
      proxy[how]()
      await using worker = await testRunner(
        databaseUrl,
        handlerThat(async ({ job }) => ({ kind: 'completed', result: job.attempt })),
        { leaseMs },
      )
      const cutAt = performance.now()
      await waitFor('it stops its work', () => reasons.length > 0)
      expect(performance.now() - cutAt).toBeLessThan(leaseMs + 500)
      expect(reasons).toEqual(['LEASE_LOST'])
      expect(await ended(worker, id)).toMatchObject({ status: 'COMPLETED', attempt: 2, result: 2 })
      await waitFor('it lets go', () => cutOff.runner.running === 0)
      const events = await eventsOf(database, id)
      await proxy.heal()
      await worker.runner[Symbol.asyncDispose]()
      const next = await enqueue(database)
      await waitFor('it works on', async () => (await jobOf(database, next.id)).workerId === cutOff.workerId)
      expect(await eventsOf(database, id)).toEqual(events)
    })
  }

  test('for less than its lease goes on, and settles what was done meanwhile', async ({ databaseUrl, database }) => {
    await using proxy = await startProxy(databaseUrl)
    const { promise: released, resolve: release } = Promise.withResolvers<void>()
    const log = rememberingLog()
    await using _worker = await testRunner(
      proxy.url,
      handlerThat(async (run) => {
        run.progress({ bytesDone: 1 })
        await released
        run.progress({ bytesDone: 2 })
        run.warn('while the database was away')
        return completed
      }),
      { leaseMs: 10_000, log },
    )
    const { id } = await enqueue(database)
    await waitFor('its progress is seen', async () => (await jobOf(database, id)).bytesDone === 1)
    proxy.cut()
    release()
    await waitFor('it tries in vain', () => log.said.filter((text) => text.includes('settled yet')).length > 2)
    expect((await jobOf(database, id)).status).toBe('IN_PROGRESS')
    await proxy.heal()
    await waitFor('it is settled', async () => (await jobOf(database, id)).status === 'COMPLETED_WITH_WARNINGS')
    expect(await jobOf(database, id)).toMatchObject({ bytesDone: 2, attempt: 1 })
  })

  test('is asked to confirm before a step that cannot be undone, and refuses it', async ({ databaseUrl, database }) => {
    const answers: unknown[] = []
    const { promise: released, resolve: release } = Promise.withResolvers<void>()
    await using worker = await testRunner(
      databaseUrl,
      handlerThat(async (run) => {
        await run.confirm()
        answers.push('confirmed')
        await released
        await run.confirm().catch((cause) => answers.push(cause.reason))
        return completed
      }),
    )
    const { id } = await enqueue(database)
    await waitFor('it is confirmed', () => answers.length === 1)
    await database.update(jobs).set({ workerId: 'another' }).where(eq(jobs.id, id))
    release()
    await within(
      'it lets go',
      waitFor('it lets go', () => worker.runner.running === 0),
    )
    expect(answers).toEqual(['confirmed', 'LEASE_LOST'])
    expect((await jobOf(database, id)).status).toBe('IN_PROGRESS')
  })
})

describe('a lease', () => {
  test('is renewed although its job’s row is held nearly all the time, as by its progress on a slow disk', async ({
    databaseUrl,
    database,
  }) => {
    const longMs = 3_000
    const started = Promise.withResolvers<void>()
    const reasons: unknown[] = []
    const { promise: released, resolve: release } = Promise.withResolvers<void>()
    await using worker = await testRunner(
      databaseUrl,
      handlerThat(async (run) => {
        run.signal.addEventListener('abort', () => reasons.push(run.signal.reason))
        started.resolve()
        await released
        return completed
      }),
      { leaseMs: longMs },
    )
    const { id } = await enqueue(database)
    await started.promise
    for (const endsAt = performance.now() + 3 * longMs; performance.now() < endsAt; ) {
      await database.transaction(async (tx) => {
        await tx.select({ id: jobs.id }).from(jobs).where(eq(jobs.id, id)).for('update')
        await tx.execute(sql`select pg_sleep(${longMs / 4_000})`)
      })
    }
    release()
    expect(await ended(worker, id)).toMatchObject({ status: 'COMPLETED', attempt: 1 })
    expect(reasons).toEqual([])
  })
})
