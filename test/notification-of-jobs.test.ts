import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { eq } from 'drizzle-orm'
import { describe, expect } from 'vitest'
import type { Database } from '../src/database/connect.ts'
import { jobs } from '../src/database/tables/job.ts'
import { notifications } from '../src/database/tables/notification.ts'
import { configureProtection } from '../src/instance/configure-protection.ts'
import { requestCancel } from '../src/job/cancel.ts'
import type { Handler, JobRun, Outcome } from '../src/job/handler.ts'
import type { JobRow } from '../src/job/states.ts'
import { handlersOf } from '../src/worker/handlers.ts'
import { tellOfEnd } from '../src/worker/tell.ts'
import { addVault, pathOf, register, startService } from './kit/protected-server.ts'
import { completed, ended, enqueue, errorSaying, handlerThat, stopped, testRunner } from './kit/runner.ts'
import { test } from './kit/test.ts'
import { waitFor } from './kit/wait-for.ts'

const now = new Date('2026-03-01T12:00:00.000Z')
const instanceId = crypto.randomUUID()
const subject = { instanceId, instanceName: 'db' }

/** A handler that does this, and tells of its ends as every handler does. */
function telling(perform: (run: JobRun) => Promise<Outcome>): Handler {
  return handlerThat(perform, { recordEnd: (tx, job) => tellOfEnd(tx, job, now) })
}

function told(database: Database) {
  return database.select().from(notifications).orderBy(notifications.sequence)
}

describe('the end of a job', () => {
  test('is told with it, as what became of it', async ({ databaseUrl, database }) => {
    await using worker = await testRunner(
      databaseUrl,
      telling(async ({ job, warn }) => {
        if (job.policyName === 'warn') {
          warn('A role was left out.')
          warn('Another one too.')
        }
        if (job.policyName === 'fail')
          return { kind: 'failed', error: { ...errorSaying('TABLE_LOCKED'), recommendedActions: ['Unlock it.'] } }
        return completed
      }),
    )
    for (const policyName of ['complete', 'warn', 'fail']) {
      await ended(worker, (await enqueue(database, { subject: { ...subject, policyName } })).id)
    }
    expect(await told(database)).toMatchObject([
      { kind: 'BACKUP_COMPLETED', severity: 'INFO', message: 'The backup of "db" was completed.', instanceId, at: now },
      {
        kind: 'BACKUP_COMPLETED',
        severity: 'WARNING',
        message: 'The backup of "db" was completed with a warning: A role was left out. There is 1 more warning.',
      },
      {
        kind: 'BACKUP_FAILED',
        severity: 'ERROR',
        message: 'The backup of "db" failed (TABLE_LOCKED): It failed: TABLE_LOCKED.',
        recommendedActions: ['Unlock it.'],
        jobId: expect.any(String),
        subjectName: 'db',
      },
    ])
  })

  test('is not told before it ended for good, nor when somebody cancelled it', async ({ databaseUrl, database }) => {
    await using worker = await testRunner(
      databaseUrl,
      telling(async (run) => {
        if (run.job.policyName === 'wait') {
          await stopped(run)
          return { kind: 'cancelled' }
        }
        throw new Error('again')
      }),
    )
    const retried = await enqueue(database, { subject, maxAttempts: 2 })
    await waitFor('a first failed attempt', async () => {
      const [job] = await database.select().from(jobs).where(eq(jobs.id, retried.id))
      return job?.error !== null && job?.status === 'QUEUED'
    })
    expect(await told(database)).toEqual([])
    const cancelled = await enqueue(database, { subject: { ...subject, policyName: 'wait' } })
    await waitFor('it runs', () => worker.runner.running === 1)
    await requestCancel(database, { jobId: cancelled.id, actor: 'ann', now })
    expect(await ended(worker, cancelled.id)).toMatchObject({ status: 'CANCELLED' })
    expect(await told(database)).toEqual([])
    await database
      .update(jobs)
      .set({ runAt: new Date(0) })
      .where(eq(jobs.id, retried.id))
    await database.execute("select pg_notify('holdfast_job_queue', '')")
    expect(await ended(worker, retried.id)).toMatchObject({ status: 'FAILED' })
    expect(await told(database)).toMatchObject([{ kind: 'BACKUP_FAILED', jobId: retried.id }])
  })

  test.for([
    ['RESTORE', 'RESTORE_COMPLETED', 'RESTORE_FAILED'],
    ['CONFIGURE_PROTECTION', null, 'CONFIGURE_PROTECTION_FAILED'],
    ['VERIFY', null, 'VERIFICATION_FAILED'],
    ['EXPIRE', null, 'MAINTENANCE_FAILED'],
    ['PURGE', null, 'MAINTENANCE_FAILED'],
  ] as const)('of a %s job is told as %s or %s', async ([operation, whenCompleted, whenFailed], { database }) => {
    const job = await enqueue(database, { operation, subject })
    const tell = (change: Partial<JobRow>) => database.transaction((tx) => tellOfEnd(tx, { ...job, ...change }, now))
    await tell({ status: 'COMPLETED' })
    await tell({ status: 'FAILED', error: errorSaying('GONE') })
    await tell({ status: 'CANCELLED' })
    const kinds = (await told(database)).map(({ kind }) => kind)
    expect(kinds).toEqual(whenCompleted === null ? [whenFailed] : [whenCompleted, whenFailed])
  })

  test('is told by every handler of a worker', async ({ databaseUrl, database, folder }) => {
    await using service = await startService({ databaseUrl, folder })
    for (const handler of Object.values(handlersOf(service.context))) expect(handler.recordEnd).toBeDefined()
    const nowhere = { host: '127.0.0.1', port: 1, superuser: 'nobody', password: 'none' }
    const server = await register(service, nowhere)
    const vault = await addVault(service, folder)
    await mkdir(pathOf(vault))
    await writeFile(join(pathOf(vault), 'something-else'), '')
    const { instance, job } = await configureProtection(database, {
      serverId: server.id,
      vaultId: vault.id,
      policyId: null,
      name: null,
      actor: 'ann',
      now,
    })
    expect(await service.ended(job.id)).toMatchObject({ status: 'FAILED' })
    expect(await told(database)).toMatchObject([
      { kind: 'CONFIGURE_PROTECTION_FAILED', instanceId: instance.id, jobId: job.id, subjectName: instance.name },
    ])
  })
})
