import { eq } from 'drizzle-orm'
import { describe, expect } from 'vitest'
import { connectDatabase, type Database } from '../src/database/connect.ts'
import { backupInstances, scheduledStarts } from '../src/database/tables/backup-instance.ts'
import { jobEvents, jobs } from '../src/database/tables/job.ts'
import { BackupAlreadyRunning, backUpNow } from '../src/instance/back-up-now.ts'
import { changePolicy } from '../src/instance/change-policy.ts'
import { recordBackupFailure } from '../src/instance/record/record-backup-failure.ts'
import { startDueBackups } from '../src/instance/schedule/start-due-backups.ts'
import { stopProtection } from '../src/instance/stop-protection.ts'
import type { Handler } from '../src/job/handler.ts'
import { settle } from '../src/job/settle/settle.ts'
import { enqueue, errorSaying } from './kit/runner.ts'
import { addScheduled, instanceNow, scheduledJobsOf, startsOf } from './kit/schedule.ts'
import { test } from './kit/test.ts'
import { within } from './kit/wait-for.ts'

const plannedAt = new Date('2026-03-01T12:00:00Z')
const now = new Date('2026-03-02T02:00:00Z')
const tomorrow = new Date('2026-03-03T02:00:00Z')

/** Ticks until a tick finds nothing due, as a clock does round after round. */
async function tickUntilDone(database: Database, atMost: number): Promise<number> {
  const { decided, started } = await startDueBackups(database, { now, atMost })
  return decided === 0 ? started : started + (await tickUntilDone(database, atMost))
}

describe('any number of schedulers', () => {
  test('start each due backup once', async ({ database, databaseUrl }) => {
    const due = await addScheduled(database, { count: 200, plannedAt })
    const connections = Array.from({ length: 4 }, () => connectDatabase(databaseUrl, { maxConnections: 1 }))
    // Small parts, so that the schedulers meet again and again.
    const started = await Promise.all(connections.map((each) => tickUntilDone(each.database, 7)))
    await Promise.all(connections.map((each) => each[Symbol.asyncDispose]()))

    expect(started.reduce((sum, each) => sum + each, 0)).toBe(200)
    const made = await database.select().from(jobs)
    expect(made).toHaveLength(200)
    expect(new Set(made.map(({ instanceId }) => instanceId))).toEqual(new Set(due.map(({ id }) => id)))
    expect(made.every(({ scheduledFor }) => scheduledFor?.getTime() === now.getTime())).toBe(true)
    expect(await database.select().from(scheduledStarts)).toHaveLength(200)
    expect(await database.select().from(jobEvents)).toHaveLength(200)
    const planned = await database.select().from(backupInstances)
    expect(planned.every(({ nextBackupAt }) => nextBackupAt?.getTime() === tomorrow.getTime())).toBe(true)
  })

  test('do not wait for an instance that an operation has at hand', async ({ database, databaseUrl }) => {
    const [busy, free] = await addScheduled(database, { count: 2, plannedAt })
    await using other = connectDatabase(databaseUrl)
    const started = await other.database.transaction(async (tx) => {
      await tx
        .update(backupInstances)
        .set({ stopComment: 'at hand' })
        .where(eq(backupInstances.id, busy?.id ?? ''))
      return within('the tick', startDueBackups(database, { now, atMost: 500 }))
    })
    expect(started).toMatchObject({ decided: 1, started: 1 })
    expect(await scheduledJobsOf(database, free?.id ?? '')).toHaveLength(1)
    expect(await startDueBackups(database, { now, atMost: 500 })).toMatchObject({ decided: 1, started: 1 })
  })
})

describe('a start that meets another operation', () => {
  test('and a backup on demand are one job, whichever is first', async ({ database }) => {
    const instances = await addScheduled(database, { count: 20, plannedAt })
    const asked = instances.map(({ id: instanceId }) =>
      backUpNow(database, { instanceId, retentionTag: null, actor: 'tester', now }),
    )
    const [answers] = await Promise.all([Promise.allSettled(asked), tickUntilDone(database, 3)])
    for (const [index, answer] of answers.entries()) {
      const instanceId = instances[index]?.id ?? ''
      const [job, ...others] = await scheduledJobsOf(database, instanceId)
      expect(others).toEqual([])
      const [start] = await startsOf(database, instanceId)
      expect(start?.jobId).toBe(job?.id)
      expect(start?.outcome).toBe(job?.trigger === 'SCHEDULE' ? 'STARTED' : 'SKIPPED')
      if (answer.status === 'rejected') expect(answer.reason).toBeInstanceOf(BackupAlreadyRunning)
      expect(answer.status).toBe(job?.trigger === 'USER' ? 'fulfilled' : 'rejected')
    }
  })

  test('of stopping leaves nothing queued and nothing planned', async ({ database }) => {
    const instances = await addScheduled(database, { count: 20, plannedAt })
    const stop = { data: 'RETAIN_FOREVER' as const, reason: null, comment: null, dryRun: false, actor: 'tester', now }
    const stopping = instances.map(({ id: instanceId }) => stopProtection(database, { instanceId, ...stop }))
    await Promise.all([...stopping, tickUntilDone(database, 3)])
    for (const { id } of instances) {
      expect(
        (await scheduledJobsOf(database, id)).map(({ status }) => status).filter((status) => status !== 'CANCELLED'),
      ).toEqual([])
      expect(await instanceNow(database, id)).toMatchObject({
        state: 'PROTECTION_STOPPED',
        nextNominalAt: null,
        nextBackupAt: null,
      })
    }
    expect(await tickUntilDone(database, 500)).toBe(0)
  })

  test('of changing the policy is started once, and the new schedule is planned', async ({ database }) => {
    const instances = await addScheduled(database, { count: 20, plannedAt })
    const schedule = { kind: 'DAILY' as const, times: ['02:00', '14:00'], spreadMinutes: 0 }
    const [follower] = await addScheduled(database, { plannedAt: now, schedule })
    const change = { policyId: follower?.policyId ?? '', dryRun: false, actor: 'tester', now }
    const changing = instances.map(({ id: instanceId }) => changePolicy(database, { instanceId, ...change }))
    await Promise.all([...changing, tickUntilDone(database, 3)])
    await tickUntilDone(database, 500)
    for (const { id } of instances) {
      expect(await startsOf(database, id)).toMatchObject([{ nominalAt: now, outcome: 'STARTED', missedStarts: 0 }])
      expect(await instanceNow(database, id)).toMatchObject({
        policyId: follower?.policyId,
        nextBackupAt: new Date('2026-03-02T14:00:00Z'),
      })
    }
  })

  test('of a failing backup that is settled neither waits for it nor holds it up', async ({
    database,
    databaseUrl,
  }) => {
    const [instance] = await addScheduled(database, { plannedAt })
    const instanceId = instance?.id ?? ''
    const running = await enqueue(database, { exclusiveKey: `backup:${instanceId}`, subject: { instanceId } })
    await database.update(jobs).set({ status: 'IN_PROGRESS', workerId: 'worker', attempt: 1 })
    await using other = connectDatabase(databaseUrl)
    const [settling, asking] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
    // Its job is FAILED already but not committed, and it waits for the instance, which the operation has locked.
    const recordFailure: Handler['recordFailure'] = async (tx, job, error) => {
      settling.resolve()
      await asking.promise
      await recordBackupFailure(tx, { instanceId: job.instanceId ?? '', error, now })
    }
    const failure = { kind: 'failed' as const, error: errorSaying('BROKEN') }
    const settled = other.database.transaction((tx) =>
      settle(tx, eq(jobs.id, running.id), failure, undefined, { recordFailure }),
    )
    await settling.promise
    const skipped = await within(
      'the tick',
      database.transaction(async (tx) => {
        const tick = await startDueBackups(tx, { now, atMost: 500 })
        asking.resolve()
        return tick
      }),
    )
    expect(skipped).toEqual({ decided: 1, started: 0, skipped: 1 })
    expect(await within('the end of the job', settled)).toMatchObject({ status: 'FAILED' })
    expect(await instanceNow(database, instanceId)).toMatchObject({ health: 'UNHEALTHY', failuresInARow: 1 })
    expect(await startsOf(database, instanceId)).toMatchObject([{ outcome: 'SKIPPED', jobId: running.id }])
  })
})
