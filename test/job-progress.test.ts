import { eq, sql } from 'drizzle-orm'
import { describe, expect } from 'vitest'
import { jobEvents, jobs } from '../src/database/tables/job.ts'
import { findSubTasks } from '../src/job/find.ts'
import { completed, ended, enqueue, handlerThat, jobOf, stopped, testRunner } from './kit/runner.ts'
import { test } from './kit/test.ts'
import { waitFor } from './kit/wait-for.ts'

describe('progress', () => {
  test('of ten thousand steps is written at most once a second, the last step included', async ({
    databaseUrl,
    database,
  }) => {
    await using worker = await testRunner(
      databaseUrl,
      handlerThat(async (run) => {
        const until = performance.now() + 1_500
        let bytesDone = 0
        while (performance.now() < until) {
          for (let step = 0; step < 100; step++) run.progress({ bytesDone: ++bytesDone, bytesTotal: null })
          await new Promise((resolve) => setImmediate(resolve))
        }
        run.progress({ bytesDone: 1_000_000, bytesTotal: 1_000_000 })
        return completed
      }),
    )
    const { id } = await enqueue(database)
    expect(await ended(worker, id)).toMatchObject({ bytesDone: 1_000_000, bytesTotal: 1_000_000 })
    const written = await database.select().from(jobEvents).where(eq(jobEvents.type, 'PROGRESSED'))
    expect(written.length).toBeGreaterThanOrEqual(2)
    expect(written.length).toBeLessThanOrEqual(3)
  })

  test('notes a hundred facts at most, and a known one anew', async ({ databaseUrl, database }) => {
    await using worker = await testRunner(
      databaseUrl,
      handlerThat(async (run) => {
        for (let at = 1; at <= 150; at++) run.note(`fact ${at}`, 'first')
        run.note('fact 1', 'last')
        return completed
      }),
    )
    const { id } = await enqueue(database)
    const { notes } = await ended(worker, id)
    expect(notes).toHaveLength(100)
    expect(notes[0]).toEqual({ name: 'fact 1', value: 'last' })
  })

  test('and sub tasks are seen while the job runs; columns of others are left alone', async ({
    databaseUrl,
    database,
  }) => {
    const { promise: released, resolve: release } = Promise.withResolvers<void>()
    await using worker = await testRunner(
      databaseUrl,
      handlerThat(async (run) => {
        await run.subTask('First', async () => {})
        await run.subTask('Second', async (task) => {
          task.progress({ bytesDone: 5.9, bytesTotal: 10 })
          run.progress({ bytesDone: 5, rowsDone: -1, rowsTotal: Number.NaN })
          await released
        })
        return completed
      }),
    )
    const { id } = await enqueue(database)
    const tasks = await waitFor('both are seen', async () => {
      const found = (await findSubTasks(database, [id])).get(id)
      return found?.length === 2 && found[1]?.bytesDone === 5 && found
    })
    expect(tasks).toMatchObject([
      { name: 'First', status: 'COMPLETED', position: 1 },
      { name: 'Second', status: 'IN_PROGRESS', position: 2, bytesTotal: 10, endedAt: null },
    ])
    expect(await jobOf(database, id)).toMatchObject({ status: 'IN_PROGRESS', bytesDone: 5, rowsDone: 0, rowsTotal: 0 })
    await database.update(jobs).set({ policyName: 'changed meanwhile' })
    release()
    expect(await ended(worker, id)).toMatchObject({ status: 'COMPLETED', policyName: 'changed meanwhile' })
    const closed = (await findSubTasks(database, [id])).get(id)
    expect(closed).toMatchObject([{ status: 'COMPLETED' }, { status: 'COMPLETED', bytesDone: 5 }])
  })

  test('of every attempt is its own', async ({ databaseUrl, database }) => {
    await using worker = await testRunner(
      databaseUrl,
      handlerThat(async (run) => {
        const { attempt } = run.job
        run.progress({ bytesDone: 10 * attempt })
        await run.subTask(`Part of attempt ${attempt}`, async () => {
          if (attempt === 1) throw new Error('try again')
        })
        return completed
      }),
    )
    const { id } = await enqueue(database)
    await waitFor('a retry is planned', async () => (await jobOf(database, id)).attempt === 1)
    await waitFor('it waits', async () => (await jobOf(database, id)).status === 'QUEUED')
    await database.update(jobs).set({ runAt: sql`now()` })
    expect(await ended(worker, id)).toMatchObject({ bytesDone: 20, attempt: 2 })
    const all = await database.execute(sql`select attempt, name, status from job_sub_tasks order by attempt`)
    expect(all).toEqual([
      { attempt: 1, name: 'Part of attempt 1', status: 'FAILED' },
      { attempt: 2, name: 'Part of attempt 2', status: 'COMPLETED' },
    ])
    expect((await findSubTasks(database, [id])).get(id)).toMatchObject([{ attempt: 2 }])
  })

  test('of a worker that lost its job changes nothing and stops the work', async ({ databaseUrl, database }) => {
    const { promise: taken, resolve: take } = Promise.withResolvers<void>()
    let reason = ''
    await using worker = await testRunner(
      databaseUrl,
      handlerThat(async (run) => {
        await taken
        run.progress({ bytesDone: 99 })
        run.warn('too late')
        reason = (await stopped(run)).reason
        return completed
      }),
    )
    const { id } = await enqueue(database)
    await waitFor('it runs', () => worker.runner.running === 1)
    await database.update(jobs).set({ attempt: 2 })
    const before = await jobOf(database, id)
    take()
    await waitFor('it lets go', () => worker.runner.running === 0)
    expect(reason).toBe('LEASE_LOST')
    expect(await jobOf(database, id)).toEqual(before)
    expect(await database.$count(jobEvents)).toBe(2)
  })

  test('after the end of the run is not written', async ({ databaseUrl, database }) => {
    let late = () => {}
    await using worker = await testRunner(
      databaseUrl,
      handlerThat(async (run) => {
        late = () => run.progress({ bytesDone: 77 })
        return completed
      }),
    )
    const { id } = await enqueue(database)
    const job = await ended(worker, id)
    late()
    await ended(worker, (await enqueue(database)).id)
    expect(await jobOf(database, id)).toEqual(job)
  })
})
