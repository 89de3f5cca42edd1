import { describe, expect } from 'vitest'
import { JobEnded, JobMissing, requestCancel } from '../src/job/cancel.ts'
import type { StopReason } from '../src/job/handler.ts'
import { eventsOf } from './kit/events.ts'
import { completed, ended, enqueue, handlerThat, jobOf, stopped, testRunner } from './kit/runner.ts'
import { test } from './kit/test.ts'
import { waitFor } from './kit/wait-for.ts'

const request = (jobId: string) => ({ jobId, actor: 'ann', now: new Date() })

describe('cancelling', () => {
  test('a job that waits ends it at once', async ({ database }) => {
    const { id } = await enqueue(database, { exclusiveKey: 'key' })
    expect(await requestCancel(database, request(id))).toMatchObject({ status: 'CANCELLED', attempt: 0 })
    const { rows } = await eventsOf(database, id, { first: 10 })
    expect(rows.map(({ type, status }) => [type, status])).toEqual([
      ['QUEUED', 'QUEUED'],
      ['CANCEL_REQUESTED', 'QUEUED'],
      ['ENDED', 'CANCELLED'],
    ])
    expect(rows[1]?.data).toEqual({ message: 'Cancelled by ann.' })
    expect((await enqueue(database, { exclusiveKey: 'key' })).status).toBe('QUEUED')
  })

  test('a running job stops its work within a second, whatever the lease', async ({ databaseUrl, database }) => {
    const reasons: StopReason[] = []
    await using worker = await testRunner(
      databaseUrl,
      handlerThat(async (run) => {
        const reason = await stopped(run)
        reasons.push(reason.reason)
        throw reason
      }),
      { leaseMs: 60_000 },
    )
    const { id } = await enqueue(database)
    await waitFor('it runs', () => worker.runner.running === 1)
    const askedAt = performance.now()
    expect((await requestCancel(database, request(id))).status).toBe('CANCELLING')
    expect(await ended(worker, id)).toMatchObject({ status: 'CANCELLED', error: null })
    expect(performance.now() - askedAt).toBeLessThan(1_000)
    expect(reasons).toEqual(['CANCELLED'])
  })

  test('is learned with the lease when the notification is lost', async ({ databaseUrl, database }) => {
    await using worker = await testRunner(
      databaseUrl,
      handlerThat(async (run) => Promise.reject(await stopped(run))),
      { leaseMs: 900 },
    )
    const { id } = await enqueue(database)
    await waitFor('it runs', () => worker.runner.running === 1)
    await worker.listener[Symbol.asyncDispose]()
    await requestCancel(database, request(id))
    await waitFor('it is cancelled', async () => (await jobOf(database, id)).status === 'CANCELLED', {
      withinMs: 2_000,
    })
  })

  test('twice changes nothing more; a job that has ended or never was is refused', async ({
    databaseUrl,
    database,
  }) => {
    const { promise: released, resolve: release } = Promise.withResolvers<void>()
    await using worker = await testRunner(
      databaseUrl,
      handlerThat(async (run) => {
        await stopped(run)
        await released
        return { kind: 'cancelled' }
      }),
    )
    const { id } = await enqueue(database)
    await waitFor('it runs', () => worker.runner.running === 1)
    const first = await requestCancel(database, request(id))
    const { status, eventSequence, cancelRequestedAt } = first
    expect(await requestCancel(database, request(id))).toMatchObject({ status, eventSequence, cancelRequestedAt })
    release()
    await ended(worker, id)
    await expect(requestCancel(database, request(id))).rejects.toMatchObject({ name: 'JobEnded', status: 'CANCELLED' })
    await expect(requestCancel(database, request(id))).rejects.toBeInstanceOf(JobEnded)
    await expect(requestCancel(database, request(crypto.randomUUID()))).rejects.toBeInstanceOf(JobMissing)
  })

  test('that comes when the work is done leaves it done', async ({ databaseUrl, database }) => {
    await using worker = await testRunner(
      databaseUrl,
      handlerThat(async (run) => {
        await stopped(run)
        return completed
      }),
    )
    const { id } = await enqueue(database)
    await waitFor('it runs', () => worker.runner.running === 1)
    await requestCancel(database, request(id))
    expect((await ended(worker, id)).status).toBe('COMPLETED')
  })

  test('work that does not stop fails the job as UNRESPONSIVE', async ({ databaseUrl, database }) => {
    await using worker = await testRunner(
      databaseUrl,
      handlerThat(() => new Promise(() => {})),
      { graceMs: 50 },
    )
    const { id } = await enqueue(database)
    await waitFor('it runs', () => worker.runner.running === 1)
    await requestCancel(database, request(id))
    expect(await ended(worker, id)).toMatchObject({ status: 'FAILED', error: { code: 'UNRESPONSIVE' } })
    await waitFor('its place is free', () => worker.runner.running === 0)
  })

  test('against being claimed at the same moment ends in one of both, never in neither', async ({
    databaseUrl,
    database,
  }) => {
    const performed = new Set<string>()
    await using worker = await testRunner(
      databaseUrl,
      handlerThat(async (run) => {
        performed.add(run.job.id)
        throw await stopped(run)
      }),
      { concurrency: 50 },
    )
    const jobs = await Promise.all(
      Array.from({ length: 40 }, async () => {
        const { id } = await enqueue(database)
        await requestCancel(database, request(id))
        return ended(worker, id)
      }),
    )
    expect(new Set(jobs.map(({ status }) => status))).toEqual(new Set(['CANCELLED']))
    for (const job of jobs) expect(performed.has(job.id) ? 1 : 0).toBeLessThanOrEqual(job.attempt)
  })
})
