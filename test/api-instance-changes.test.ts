import { eq } from 'drizzle-orm'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { backupInstances } from '../src/database/tables/backup-instance.ts'
import { jobs } from '../src/database/tables/job.ts'
import { encodeNodeId } from '../src/graphql/schema/ids.ts'
import { requestCancel } from '../src/job/cancel.ts'
import { changeJobs } from '../src/job/change.ts'
import { type Answer, type Api, startApi } from './kit/api.ts'
import { addInstance } from './kit/catalogue.ts'
import { enqueue } from './kit/runner.ts'
import { waitFor, within } from './kit/wait-for.ts'

let api: Api
beforeEach(async () => {
  api = await startApi()
})
afterEach(() => api[Symbol.asyncDispose]())

const watched =
  'subscription ($id: ID!) { backupInstanceChanged(id: $id) { name state lastBackup { status } jobs { totalCount } } }'

async function next(stream: AsyncIterator<Answer>): Promise<unknown> {
  const { done, value } = await within('the next state', stream.next())
  if (done) return 'completed'
  expect(value.errors).toBeUndefined()
  return value.data?.backupInstanceChanged
}

const idOf = (instance: { id: string }) => encodeNodeId('BackupInstance', instance.id)

describe('backupInstanceChanged', () => {
  test('sends the present state, then every change of the instance and of its jobs, until it is gone', async () => {
    const instance = await addInstance(api)
    const stream = api.watch(watched, { id: idOf(instance) })
    expect(await next(stream)).toEqual({
      name: instance.name,
      state: 'PROTECTION_CONFIGURED',
      lastBackup: null,
      jobs: { totalCount: 0 },
    })
    const subject = { instanceId: instance.id, vaultId: instance.vaultId }
    const job = await enqueue(api.database, { subject, now: api.clock.now })
    expect(await next(stream)).toMatchObject({ lastBackup: { status: 'QUEUED' }, jobs: { totalCount: 1 } })
    await api.database.transaction((tx) =>
      changeJobs(tx, eq(jobs.id, job.id), {}, [{ type: 'NOTED', data: { message: 'It goes on.' } }]),
    )
    expect(await next(stream)).toMatchObject({ lastBackup: { status: 'QUEUED' } })
    await requestCancel(api.database, { jobId: job.id, actor: 'tester', now: new Date() })
    expect(await next(stream)).toMatchObject({ lastBackup: { status: 'CANCELLED' } })
    const isIt = eq(backupInstances.id, instance.id)
    await api.database.update(backupInstances).set({ state: 'PROTECTION_STOPPED' }).where(isIt)
    expect(await next(stream)).toMatchObject({ state: 'PROTECTION_STOPPED' })
    await api.database.delete(backupInstances).where(isIt)
    expect(await next(stream)).toBe('completed')
    await stream.end()
    expect(api.openStreams()).toBe(0)
  })

  test('is silent about other instances', async () => {
    const instance = await addInstance(api)
    const other = await addInstance(api, { name: 'another' })
    const stream = api.watch(watched, { id: idOf(instance) })
    await next(stream)
    await enqueue(api.database, { subject: { instanceId: other.id } })
    await enqueue(api.database)
    await enqueue(api.database, { subject: { instanceId: instance.id }, now: api.clock.now })
    expect(await next(stream)).toMatchObject({ name: instance.name, jobs: { totalCount: 1 } })
    await stream.end()
  })

  test('of no instance is refused, and one that is left is freed', async () => {
    const nobody = api.watch(watched, { id: idOf({ id: crypto.randomUUID() }) })
    const answer = await within(
      'a refusal',
      nobody.next().catch((errors) => errors),
    )
    expect(JSON.stringify(answer)).toContain('BAD_USER_INPUT')
    await nobody.end()
    const stream = api.watch(watched, { id: idOf(await addInstance(api)) })
    await next(stream)
    expect(api.openStreams()).toBeGreaterThan(0)
    await stream.end()
    await waitFor('the stream to be freed', () => api.openStreams() === 0)
  })
})
