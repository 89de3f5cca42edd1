import { describe, expect } from 'vitest'
import { startCluster } from '../src/cluster/start.ts'
import { connectDatabase } from '../src/database/connect.ts'
import { migrateDatabase } from '../src/database/migrate.ts'
import { readJobEvents } from '../src/job/events.ts'
import { watchJobEvents } from '../src/job/watch.ts'
import { password, programsOf, superuser } from './kit/postgres-programs.ts'
import { completed, enqueue, handlerThat, jobOf, testRunner } from './kit/runner.ts'
import { sourceServer } from './kit/source-server.ts'
import { test } from './kit/test.ts'
import { waitFor, within } from './kit/wait-for.ts'

describe('the metadata server restarted in the middle of a job', () => {
  for (const mode of ['fast', 'immediate'] as const) {
    test(`in ${mode} mode does not end the job, nor lose an event`, async () => {
      await using server = await sourceServer({ major: 18 })
      const url = server.url('postgres')
      await migrateDatabase(url)
      const { promise: released, resolve: release } = Promise.withResolvers<void>()
      await using worker = await testRunner(
        url,
        handlerThat(async (run) => {
          let bytesDone = 0
          const timer = setInterval(() => run.progress({ bytesDone: ++bytesDone }), 5)
          await released
          clearInterval(timer)
          await run.confirm()
          return completed
        }),
      )
      await using connection = connectDatabase(url)
      const feed = watchJobEvents(connection.database, worker.listener)
      const { id } = await enqueue(connection.database)
      expect((await feed.next()).value).toMatchObject({ type: 'QUEUED' })
      await waitFor('it makes progress', async () => (await jobOf(connection.database, id)).bytesDone > 0)

      await server.stop(mode)
      await using _again = await startCluster({
        binDir: await programsOf(18),
        dataDir: server.dataDir,
        port: server.port,
        superuser,
        password,
      })
      const before = await within(
        'it answers again',
        askAgain(() => jobOf(connection.database, id)),
      )
      await waitFor('it makes progress again', async () => {
        return (await jobOf(connection.database, id)).eventSequence > before.eventSequence
      })
      const next = await enqueue(connection.database)
      release()
      await waitFor('both are done', async () => {
        const jobs = [await jobOf(connection.database, id), await jobOf(connection.database, next.id)]
        return jobs.every(({ status }) => status === 'COMPLETED')
      })
      expect(await jobOf(connection.database, id)).toMatchObject({ attempt: 1, workerId: worker.workerId })

      const { events } = await readJobEvents(connection.database, { limit: 1000 })
      const followed = [events[0]]
      while (followed.length < events.length) followed.push((await within('an event', feed.next())).value)
      expect(followed).toEqual(events)
      await feed.return?.()
    })
  }
})

async function askAgain<Result>(ask: () => Promise<Result>): Promise<Result> {
  for (;;) {
    const answer = await ask().catch(() => undefined)
    if (answer !== undefined) return answer
    await new Promise((resolve) => setImmediate(resolve))
  }
}
