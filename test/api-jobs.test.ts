import { eq } from 'drizzle-orm'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { jobs } from '../src/database/tables/job.ts'
import { encodeNodeId } from '../src/graphql/schema/ids.ts'
import { type Api, at, listAt, startApi } from './kit/api.ts'
import { addInstance, addPoint } from './kit/catalogue.ts'
import { enqueue, errorSaying } from './kit/runner.ts'

let api: Api
beforeEach(async () => {
  api = await startApi()
})
afterEach(() => api[Symbol.asyncDispose]())

const idOf = (job: { id: string }) => encodeNodeId('Job', job.id)
const minutesAgo = (minutes: number) => new Date(api.clock.now.getTime() - minutes * 60_000)

async function show(id: string, selection: string) {
  const { data, errors } = await api.ask(`query ($id: ID!) { job(id: $id) { ${selection} } }`, { id })
  expect(errors).toBeUndefined()
  return at(data, 'job')
}

describe('A job', () => {
  test('that waits says so and nothing more', async () => {
    const job = await enqueue(api.database, { maxAttempts: 3 })
    expect(
      await show(
        idOf(job),
        `operation category status supportedActions trigger isUserTriggered attempt maxAttempts createdBy startedAt endedAt duration
         progress { fraction bytesDone bytesTotal rowsDone rowsTotal bytesPerSecond expectedEndAt }
         subTasks { name } notes { name } warnings error { code } backupInstance { id } backupInstanceName policyName
         sourceRecoveryPoint { id } targetRecoveryPoint { id } recoveryDestination { directory } restoreReport { destination }`,
      ),
    ).toEqual({
      operation: 'BACKUP',
      category: 'BACKUP',
      status: 'QUEUED',
      supportedActions: ['CANCEL'],
      trigger: 'USER',
      isUserTriggered: true,
      attempt: 0,
      maxAttempts: 3,
      createdBy: 'tester',
      startedAt: null,
      endedAt: null,
      duration: null,
      progress: {
        fraction: null,
        bytesDone: 0,
        bytesTotal: null,
        rowsDone: 0,
        rowsTotal: null,
        bytesPerSecond: null,
        expectedEndAt: null,
      },
      subTasks: [],
      notes: [],
      warnings: [],
      error: null,
      backupInstance: null,
      backupInstanceName: null,
      policyName: null,
      sourceRecoveryPoint: null,
      targetRecoveryPoint: null,
      recoveryDestination: null,
      restoreReport: null,
    })
  })

  test('that runs tells how far it is, how fast and when it may end', async () => {
    const job = await enqueue(api.database)
    await api.database
      .update(jobs)
      .set({
        status: 'IN_PROGRESS',
        attempt: 2,
        handBacks: 1,
        startedAt: minutesAgo(62),
        attemptStartedAt: minutesAgo(10),
        progressAt: api.clock.now,
        bytesDone: 3_000_000_000,
        bytesTotal: 4_000_000_000,
        rowsDone: 5_000_000_000,
      })
      .where(eq(jobs.id, job.id))
    expect(
      await show(idOf(job), 'attempt duration progress { fraction bytesDone rowsDone bytesPerSecond expectedEndAt }'),
    ).toEqual({
      attempt: 1,
      duration: 'PT1H2M',
      progress: {
        fraction: 0.75,
        bytesDone: 3_000_000_000,
        rowsDone: 5_000_000_000,
        bytesPerSecond: 5_000_000,
        expectedEndAt: '2026-03-01T12:03:20.000Z',
      },
    })
  })

  test('that failed says why, whose fault it is and what to do', async () => {
    const job = await enqueue(api.database)
    const error = { ...errorSaying('PERMISSION_DENIED', { details: 'for table x' }), recommendedActions: ['GRANT it.'] }
    await api.database.update(jobs).set({ status: 'FAILED', error, endedAt: api.clock.now }).where(eq(jobs.id, job.id))
    expect(
      await show(
        idOf(job),
        'status supportedActions error { code message recommendedActions isUserError isRetryable details }',
      ),
    ).toEqual({ status: 'FAILED', supportedActions: [], error })
  })

  test('with a failure that this version does not know is shown all the same', async () => {
    const job = await enqueue(api.database)
    await api.database
      .update(jobs)
      .set({ error: errorSaying('FROM_THE_FUTURE') })
      .where(eq(jobs.id, job.id))
    expect(await show(idOf(job), 'error { code message }')).toMatchObject({ error: { code: 'INTERNAL' } })
  })

  test('of a backup shows the recovery point that it made', async () => {
    const instance = await addInstance(api)
    const point = await addPoint(api, instance)
    expect(
      await show(encodeNodeId('Job', point.jobId), 'targetRecoveryPoint { id databases { name rowCount } }'),
    ).toEqual({
      targetRecoveryPoint: {
        id: encodeNodeId('RecoveryPoint', point.id),
        databases: [
          { name: 'shop', rowCount: 3_000_000_000 },
          { name: 'postgres', rowCount: 0 },
        ],
      },
    })
  })

  test('of a finished restore shows its report', async () => {
    const report = {
      destination: '/restored',
      databases: [{ name: 'shop', targetName: 'shop', tableCount: 7, rowCount: 3_000_000_000 }],
      files: [{ name: 'shop.dump', sizeBytes: 9_000_000_000 }],
      rolesCreated: [],
    }
    const job = await enqueue(api.database, {
      operation: 'RESTORE',
      input: { kind: 'FILES', directory: '/restored', databases: ['shop'] },
    })
    await api.database.update(jobs).set({ status: 'COMPLETED', result: report }).where(eq(jobs.id, job.id))
    const selection =
      'restoreReport { destination databases { name targetName tableCount rowCount } files { name sizeBytes } rolesCreated }'
    expect(await show(idOf(job), selection)).toEqual({ restoreReport: report })
  })
})

describe('Cancelling', () => {
  const cancel = (id: string) =>
    api.mutate(
      'cancelJob',
      { job: id },
      `... on CancelJobPayload { job { status supportedActions } } ... on NotFound { kind }
       ... on JobAlreadyEnded { job { id status } } ... on JobNotCancellable { job { id operation } }`,
    )

  test('a job that waits ends it at once; again, it is refused', async () => {
    const job = await enqueue(api.database)
    expect(await cancel(idOf(job))).toMatchObject({ job: { status: 'CANCELLED', supportedActions: [] } })
    expect(await cancel(idOf(job))).toMatchObject({
      __typename: 'JobAlreadyEnded',
      job: { id: idOf(job), status: 'CANCELLED' },
    })
  })

  test('a job that runs asks it to stop, once', async () => {
    const job = await enqueue(api.database)
    await api.database.update(jobs).set({ status: 'IN_PROGRESS', workerId: 'w' }).where(eq(jobs.id, job.id))
    expect(await cancel(idOf(job))).toMatchObject({ job: { status: 'CANCELLING', supportedActions: [] } })
    expect(await cancel(idOf(job))).toMatchObject({ job: { status: 'CANCELLING' } })
    const { data } = await api.ask('{ auditLog { nodes { action } } }')
    expect(listAt(data, 'auditLog.nodes')).toEqual([{ action: 'cancelJob' }])
  })

  test('a configuration is refused: its instance waits for the end', async () => {
    const job = await enqueue(api.database, {
      operation: 'CONFIGURE_PROTECTION',
      subject: { instanceId: crypto.randomUUID() },
    })
    expect(await cancel(idOf(job))).toMatchObject({
      __typename: 'JobNotCancellable',
      job: { id: idOf(job), operation: 'CONFIGURE_PROTECTION' },
    })
    expect(await show(idOf(job), 'status supportedActions')).toEqual({ status: 'QUEUED', supportedActions: [] })
  })

  test('what is not there, or is no job, is refused', async () => {
    const unknown = '00000000-0000-4000-8000-000000000000'
    expect(await cancel(encodeNodeId('Job', unknown))).toMatchObject({ __typename: 'NotFound', kind: 'job' })
    expect(await cancel(encodeNodeId('Vault', unknown))).toMatchObject({ __typename: 'NotFound', kind: 'job' })
  })
})

describe('The list of jobs', () => {
  const list = async (filter: Record<string, unknown>) => {
    const { data, errors } = await api.ask(
      'query ($filter: JobFilter) { jobs(filter: $filter) { totalCount nodes { id } } }',
      { filter },
    )
    expect(errors).toBeUndefined()
    expect(listAt(data, 'jobs.nodes')).toHaveLength(Number(at(data, 'jobs.totalCount')))
    return listAt(data, 'jobs.nodes').map(({ id }) => id)
  }

  test('is filtered by everything that is given', async () => {
    const instance = await addInstance(api)
    const subject = { instanceId: instance.id, vaultId: instance.vaultId }
    const backup = await enqueue(api.database, { subject, now: minutesAgo(3) })
    const restore = await enqueue(api.database, { operation: 'RESTORE', trigger: 'SYSTEM', now: minutesAgo(2) })
    const verify = await enqueue(api.database, { operation: 'VERIFY', now: minutesAgo(1) })
    await api.database.update(jobs).set({ status: 'FAILED' }).where(eq(jobs.id, verify.id))
    expect(await list({})).toEqual([verify, restore, backup].map(idOf))
    expect(await list({ operation: ['BACKUP', 'VERIFY'] })).toEqual([verify, backup].map(idOf))
    expect(await list({ category: ['MANAGEMENT'] })).toEqual([idOf(verify)])
    expect(await list({ category: ['BACKUP'], operation: ['VERIFY'] })).toEqual([])
    expect(await list({ operation: [] })).toEqual([])
    expect(await list({ status: ['QUEUED'] })).toEqual([restore, backup].map(idOf))
    expect(await list({ trigger: 'SYSTEM' })).toEqual([idOf(restore)])
    expect(await list({ instance: encodeNodeId('BackupInstance', instance.id) })).toEqual([idOf(backup)])
    expect(await list({ vault: encodeNodeId('Vault', instance.vaultId) })).toEqual([idOf(backup)])
    expect(await list({ createdAfter: minutesAgo(2), createdBefore: minutesAgo(1) })).toEqual([idOf(restore)])
  })

  test('is summed up by kind and status', async () => {
    await enqueue(api.database, { now: minutesAgo(60) })
    await enqueue(api.database, { now: minutesAgo(1) })
    await enqueue(api.database, { operation: 'VERIFY', now: minutesAgo(1) })
    const { data } = await api.ask(
      `query ($since: DateTime!) {
        all: jobSummary { totalCount counts { operation status count } }
        late: jobSummary(since: $since) { totalCount }
      }`,
      { since: minutesAgo(30).toISOString() },
    )
    expect(data).toEqual({
      all: {
        totalCount: 3,
        counts: [
          { operation: 'BACKUP', status: 'QUEUED', count: 2 },
          { operation: 'VERIFY', status: 'QUEUED', count: 1 },
        ],
      },
      late: { totalCount: 2 },
    })
  })

  test('of an instance goes back as far as asked', async () => {
    const instance = await addInstance(api)
    const subject = { instanceId: instance.id }
    await enqueue(api.database, { subject, now: minutesAgo(60) })
    await enqueue(api.database, { subject, now: minutesAgo(8 * 24 * 60) })
    const { data } = await api.ask(
      `query ($id: ID!) { backupInstance(id: $id) {
        lastBackup { id } week: jobs { totalCount nodes { id } } half: jobs(since: "PT30M") { totalCount nodes { id } }
        all: jobs(since: null) { totalCount nodes { id } } ages: jobs(since: "P900000Y") { totalCount }
      } }`,
      { id: encodeNodeId('BackupInstance', instance.id) },
    )
    expect(data).toMatchObject({
      backupInstance: {
        week: { totalCount: 1, nodes: [{ id: at(data, 'backupInstance.lastBackup.id') }] },
        half: { totalCount: 0, nodes: [] },
        all: { totalCount: 2 },
        ages: { totalCount: 2 },
      },
    })
    const odd = await api.ask('query ($id: ID!) { backupInstance(id: $id) { jobs(since: "PT0.5S") { totalCount } } }', {
      id: encodeNodeId('BackupInstance', instance.id),
    })
    expect(odd.errors?.[0]?.extensions.code).toBe('BAD_USER_INPUT')
  })
})
