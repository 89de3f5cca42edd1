import { eq } from 'drizzle-orm'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { backupInstances, scheduledStarts } from '../src/database/tables/backup-instance.ts'
import { jobs } from '../src/database/tables/job.ts'
import { failureOf } from '../src/failure.ts'
import { encodeNodeId } from '../src/graphql/schema/ids.ts'
import { startDueBackups } from '../src/instance/schedule/start-due-backups.ts'
import { type Api, at, listAt, startApi, textAt } from './kit/api.ts'
import { enqueue } from './kit/runner.ts'
import { addScheduled, endPendingJobs, nightly } from './kit/schedule.ts'

let api: Api
beforeEach(async () => {
  api = await startApi()
})
afterEach(() => api[Symbol.asyncDispose]())

const plannedAt = new Date('2026-03-01T12:00:00Z')
const day = 86_400_000

const views = `policyVersion nextBackupAt nextNominalStartAt isOverdue overdueSince
  health healthPersistence healthSince failuresInARow lastFailure { code recommendedActions isUserError }`

async function show(id: string, selection: string) {
  const { data, errors } = await api.ask(`query ($id: ID!) { backupInstance(id: $id) { ${selection} } }`, {
    id: encodeNodeId('BackupInstance', id),
  })
  expect(errors).toBeUndefined()
  return at(data, 'backupInstance')
}

test('an instance shows when it starts next, and since when it is overdue', async () => {
  const [instance] = await addScheduled(api.database, {
    plannedAt,
    schedule: { ...nightly, spreadMinutes: 60 },
    jitter: 0.5,
  })
  const id = instance?.id ?? ''
  expect(await show(id, views)).toEqual({
    policyVersion: 1,
    nextBackupAt: '2026-03-02T02:30:00.000Z',
    nextNominalStartAt: '2026-03-02T02:00:00.000Z',
    isOverdue: false,
    overdueSince: null,
    health: 'HEALTHY',
    healthPersistence: null,
    healthSince: null,
    failuresInARow: 0,
    lastFailure: null,
  })
  api.clock.now = new Date('2026-03-02T15:00:00Z')
  expect(await show(id, 'isOverdue overdueSince')).toEqual({
    isOverdue: true,
    overdueSince: '2026-03-02T15:00:00.000Z',
  })
  const [stopped] = await addScheduled(api.database, { plannedAt, state: 'PROTECTION_STOPPED' })
  expect(await show(stopped?.id ?? '', 'nextBackupAt nextNominalStartAt isOverdue overdueSince')).toEqual({
    nextBackupAt: null,
    nextNominalStartAt: null,
    isOverdue: false,
    overdueSince: null,
  })
})

test('an ill instance shows whose trouble it is, whether it lasts, and why its last backup failed', async () => {
  const [instance] = await addScheduled(api.database, { plannedAt })
  const id = instance?.id ?? ''
  for (const code of ['STORAGE_FULL', 'AUTHENTICATION_FAILED'] as const) {
    const job = await enqueue(api.database, {
      subject: { instanceId: id },
      now: new Date(plannedAt.getTime() + (code === 'STORAGE_FULL' ? 0 : day)),
    })
    await api.database
      .update(jobs)
      .set({ status: 'FAILED', endedAt: plannedAt, error: failureOf(code) })
      .where(eq(jobs.id, job.id))
  }
  const ill = { health: 'DEGRADED' as const, healthSince: plannedAt }
  await api.database.update(backupInstances).set({ ...ill, failuresInARow: 2 })
  const shown = 'health healthPersistence healthSince failuresInARow lastFailure { code isUserError }'
  expect(await show(id, shown)).toEqual({
    health: 'DEGRADED',
    healthPersistence: 'TRANSIENT',
    healthSince: plannedAt.toISOString(),
    failuresInARow: 2,
    lastFailure: { code: 'AUTHENTICATION_FAILED', isUserError: true },
  })
  await api.database.update(backupInstances).set({ ...ill, failuresInARow: 3 })
  expect(await show(id, 'healthPersistence')).toEqual({ healthPersistence: 'PERSISTENT' })
})

test('what became of scheduled starts is paged both ways, newest first, with its jobs', async () => {
  const [instance] = await addScheduled(api.database, { plannedAt })
  const id = instance?.id ?? ''
  for (let index = 1; index <= 5; index += 1) {
    const now = new Date(Date.parse('2026-03-01T02:00:00Z') + index * day)
    await startDueBackups(api.database, { now, atMost: 10 })
    // The last but one is still there when the last is due.
    if (index < 4) await endPendingJobs(api.database)
  }
  const page = (args: string) =>
    show(
      id,
      `scheduledStarts(${args}) { totalCount pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
      nodes { nominalAt decidedAt outcome reason missedStarts job { trigger scheduledFor } } }`,
    )
  const first = await page('first: 2')
  expect(first).toMatchObject({
    scheduledStarts: {
      totalCount: 5,
      pageInfo: { hasNextPage: true, hasPreviousPage: false },
      nodes: [
        {
          nominalAt: '2026-03-06T02:00:00.000Z',
          outcome: 'SKIPPED',
          reason: expect.stringContaining('Another backup'),
          job: { trigger: 'SCHEDULE', scheduledFor: '2026-03-05T02:00:00.000Z' },
        },
        {
          nominalAt: '2026-03-05T02:00:00.000Z',
          decidedAt: '2026-03-05T02:00:00.000Z',
          outcome: 'STARTED',
          reason: null,
          missedStarts: 0,
        },
      ],
    },
  })
  const second = await page(`first: 2, after: "${textAt(first, 'scheduledStarts.pageInfo.endCursor')}"`)
  const moments = (answer: unknown) =>
    listAt(answer, 'scheduledStarts.nodes').map(({ nominalAt }) => String(nominalAt).slice(8, 10))
  expect(moments(second)).toEqual(['04', '03'])
  const back = await page(`last: 2, before: "${textAt(second, 'scheduledStarts.pageInfo.startCursor')}"`)
  expect(moments(back)).toEqual(['06', '05'])
})

test('a page of instances with all of this costs as many statements for 40 as for 2', async () => {
  const instances = await addScheduled(api.database, { plannedAt, count: 40 })
  await startDueBackups(api.database, { now: new Date('2026-03-02T02:00:00Z'), atMost: 100 })
  await api.database.update(backupInstances).set({ health: 'UNHEALTHY', failuresInARow: 1 })
  expect(await api.database.$count(scheduledStarts)).toBe(instances.length)
  const cost = async (size: number) => {
    const query = `{ backupInstances(first: ${size}) { nodes { ${views} scheduledStarts(first: 5) { totalCount nodes { outcome job { status } } } } } }`
    api.statements.length = 0
    const { errors, data } = await api.ask(query)
    expect(errors).toBeUndefined()
    expect(listAt(data, 'backupInstances.nodes')).toHaveLength(size)
    return api.statements.length
  }
  await cost(2)
  const [few, many] = [await cost(2), await cost(40)]
  // Fields of different levels share a statement when their answers happen to come together.
  expect(Math.abs(many - few)).toBeLessThanOrEqual(2)
  expect(many).toBeLessThanOrEqual(8)
})
