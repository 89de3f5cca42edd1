import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { eq } from 'drizzle-orm'
import { describe, expect } from 'vitest'
import { connectDatabase } from '../src/database/connect.ts'
import { backupInstances } from '../src/database/tables/backup-instance.ts'
import { policyVersions } from '../src/database/tables/policy.ts'
import { planNext } from '../src/instance/schedule/plan-next.ts'
import { enqueueJob } from '../src/job/enqueue.ts'
import { findRecoveryPointsOf } from './kit/points.ts'
import { endOf, protect, runSql, type Service, startService } from './kit/protected-server.ts'
import { instanceNow, nightly, scheduledJobsOf, startsOf } from './kit/schedule.ts'
import { startServiceProcess } from './kit/service-process.ts'
import { sourceServer } from './kit/source-server.ts'
import { test } from './kit/test.ts'
import { waitFor } from './kit/wait-for.ts'

/** Gives the policy of an instance a schedule, as if it had always had it. */
async function follow(service: Service, instanceId: string, now: Date): Promise<void> {
  const { policyId, jitter } = await instanceNow(service.database, instanceId)
  const retentionRules = [{ tag: 'WEEKLY' as const, duration: 'P60D' }]
  const [rules] = await service.database
    .update(policyVersions)
    .set({ schedule: nightly, retentionRules })
    .where(eq(policyVersions.policyId, policyId))
    .returning()
  if (!rules) throw new Error('There is no policy.')
  const plan = planNext(rules, { jitter, after: now, provenAt: null })
  await service.database.update(backupInstances).set(plan).where(eq(backupInstances.id, instanceId))
}

describe('a service whose clock is moved', () => {
  test('takes each backup when its time has come, and dates it by that clock', async ({
    databaseUrl,
    folder,
    source,
  }) => {
    let now = new Date('2026-03-01T12:00:00.000Z')
    await using service = await startService({ databaseUrl, folder }, { clock: true, now: () => now })
    const { instance } = await protect(service, source, folder)
    await follow(service, instance.id, now)
    const days = ['2026-03-02T02:00:00.000Z', '2026-03-03T02:00:00.000Z', '2026-03-10T05:00:00.000Z']
    for (const [index, day] of days.entries()) {
      now = new Date(day)
      const start = await waitFor('the start', async () => (await startsOf(service.database, instance.id))[index])
      expect(await service.ended(start.jobId)).toMatchObject({
        status: 'COMPLETED',
        createdAt: now,
        trigger: 'SCHEDULE',
      })
    }
    const starts = await startsOf(service.database, instance.id)
    expect(starts.map(({ nominalAt, missedStarts }) => [nominalAt.toISOString(), missedStarts])).toEqual([
      ['2026-03-02T02:00:00.000Z', 0],
      ['2026-03-03T02:00:00.000Z', 0],
      ['2026-03-10T02:00:00.000Z', 6],
    ])
    const points = await findRecoveryPointsOf(service.database, instance.id)
    const dated = points.map(({ createdAt, expiresAt, provenAt, tag }) => ({
      createdAt: createdAt.toISOString(),
      days: (expiresAt.getTime() - createdAt.getTime()) / 86_400_000,
      isProvenThen: provenAt.getTime() === createdAt.getTime(),
      tag,
    }))
    expect(dated.toSorted((one, other) => one.createdAt.localeCompare(other.createdAt))).toEqual([
      { createdAt: days[0], days: 60, isProvenThen: true, tag: 'WEEKLY' },
      { createdAt: days[1], days: 30, isProvenThen: true, tag: 'DEFAULT' },
      { createdAt: days[2], days: 60, isProvenThen: true, tag: 'WEEKLY' },
    ])
    expect(await instanceNow(service.database, instance.id)).toMatchObject({
      nextBackupAt: new Date('2026-03-11T02:00:00Z'),
      overdueAt: new Date('2026-03-11T14:00:00Z'),
      health: 'HEALTHY',
    })
  })
})

describe('a service whose time is that of a file', () => {
  test('warns of it, starts what is due by it and dates it so', async ({ databaseUrl, folder, source }) => {
    const first = new Date('2031-03-01T12:00:00.000Z')
    const clockFile = join(folder, 'clock')
    const service = await startService({ databaseUrl, folder }, { now: () => first })
    const { instance } = await protect(service, source, folder)
    await follow(service, instance.id, first)
    await service[Symbol.asyncDispose]()
    await writeFile(clockFile, first.toISOString())
    const settings = { keyFile: join(folder, 'secret.key'), environment: { HOLDFAST_TEST_CLOCK_FILE: clockFile } }
    await using worker = await startServiceProcess({ databaseUrl, folder, ...settings })
    expect(worker.printed()).toContain('for demonstrations and tests alone')
    await using connection = connectDatabase(databaseUrl)
    const { database } = connection
    expect(await startsOf(database, instance.id)).toEqual([])
    const next = new Date('2031-03-02T02:00:00.000Z')
    await writeFile(clockFile, next.toISOString())
    const start = await waitFor('the start', async () => (await startsOf(database, instance.id))[0])
    expect(start).toMatchObject({ nominalAt: next, decidedAt: next, outcome: 'STARTED' })
    expect(await endOf(database, start.jobId)).toMatchObject({ status: 'COMPLETED', createdAt: next })
    expect(await findRecoveryPointsOf(database, instance.id)).toMatchObject([
      { createdAt: next, expiresAt: new Date('2031-05-01T02:00:00.000Z'), provenAt: next },
    ])
    expect(await worker.stop()).toBe(0)
  })
})

describe('a scheduled backup', () => {
  test('of an instance that was stopped before it began is cancelled, with the reason, and leaves the health alone', async ({
    databaseUrl,
    folder,
    source,
  }) => {
    await using service = await startService({ databaseUrl, folder })
    const { instance } = await protect(service, source, folder)
    await service.database.update(backupInstances).set({ state: 'PROTECTION_STOPPED' })
    const job = await service.database.transaction((tx) =>
      enqueueJob(tx, {
        operation: 'BACKUP',
        trigger: 'SCHEDULE',
        input: {},
        subject: { instanceId: instance.id },
        actor: 'holdfast',
        now: new Date(),
        scheduledFor: new Date(),
      }),
    )
    expect(await service.ended(job.id)).toMatchObject({
      status: 'CANCELLED',
      error: null,
      notes: [{ name: 'Not started', value: expect.stringContaining('PROTECTION_STOPPED') }],
    })
    expect(await findRecoveryPointsOf(service.database, instance.id)).toEqual([])
    expect(await instanceNow(service.database, instance.id)).toMatchObject({ health: 'HEALTHY', failuresInARow: 0 })
  })

  test('that fails makes its instance ill, until one succeeds', async ({ databaseUrl, folder }) => {
    await using source = await sourceServer()
    await runSql(source, 'postgres', "create role saver login superuser password 'right'")
    let now = new Date('2026-03-01T12:00:00.000Z')
    await using service = await startService({ databaseUrl, folder }, { clock: true, now: () => now })
    const { instance } = await protect(service, { ...source, superuser: 'saver', password: 'right' }, folder)
    await follow(service, instance.id, now)
    const backUpAt = async (text: string) => {
      now = new Date(text)
      const isThere = async () =>
        (await startsOf(service.database, instance.id)).find(({ nominalAt }) => nominalAt.getTime() === now.getTime())
      return service.ended((await waitFor('the start', isThere)).jobId)
    }
    await runSql(source, 'postgres', "alter role saver password 'another'")
    expect(await backUpAt('2026-03-02T02:00:00.000Z')).toMatchObject({ status: 'FAILED' })
    expect(await instanceNow(service.database, instance.id)).toMatchObject({
      health: 'DEGRADED',
      healthSince: now,
      failuresInARow: 1,
      overdueAt: new Date('2026-03-02T14:00:00Z'),
    })
    await runSql(source, 'postgres', "alter role saver password 'right'")
    expect(await backUpAt('2026-03-03T02:00:00.000Z')).toMatchObject({ status: 'COMPLETED' })
    expect(await instanceNow(service.database, instance.id)).toMatchObject({
      health: 'HEALTHY',
      healthSince: now,
      failuresInARow: 0,
      overdueAt: new Date('2026-03-04T14:00:00Z'),
    })
    expect(await scheduledJobsOf(service.database, instance.id)).toHaveLength(3)
  })
})
