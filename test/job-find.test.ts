import { describe, expect } from 'vitest'
import type { Database } from '../src/database/connect.ts'
import type { PageOrder, PageRequest } from '../src/database/page.ts'
import { jobSubTasks } from '../src/database/tables/job.ts'
import { requestCancel } from '../src/job/cancel.ts'
import {
  countJobs,
  findJobs,
  findJobsOfInstances,
  findLastJobs,
  findSubTasks,
  type Job,
  pageJobs,
  summariseJobs,
} from '../src/job/find.ts'
import { eventsOf } from './kit/events.ts'
import { enqueue } from './kit/runner.ts'
import { test } from './kit/test.ts'

const [one, two, three] = [crypto.randomUUID(), crypto.randomUUID(), crypto.randomUUID()]
const at = (second: number) => new Date(Date.UTC(2026, 0, 1, 0, 0, second))
const cursorOf = ({ createdAt, id }: Job) => ({ at: createdAt, id })

/** Twenty-three jobs, several of them of the same moment. */
async function manyJobs(database: Database): Promise<Job[]> {
  const jobs: Job[] = []
  for (let index = 0; index < 23; index++) {
    const instanceId = index % 3 === 0 ? one : two
    jobs.push(await enqueue(database, { now: at(Math.floor(index / 4)), subject: { instanceId } }))
  }
  return jobs.sort((a, b) => b.createdAt.getTime() - a.createdAt.getTime() || (a.id < b.id ? 1 : -1))
}

async function walk(database: Database, step: (last?: Job) => PageRequest, order: PageOrder): Promise<Job[]> {
  const seen: Job[] = []
  for (;;) {
    const request = step(seen.at(-1))
    const page = await pageJobs(database, { page: request, order })
    const isForward = request.last === undefined
    seen.push(...(isForward ? page.rows : page.rows.toReversed()))
    if (!(isForward ? page.hasNextPage : page.hasPreviousPage)) return seen
  }
}

describe('pages of jobs', () => {
  test('give each job once, forwards and backwards, in either order, whatever the size', async ({ database }) => {
    const newestFirst = await manyJobs(database)
    for (const size of [1, 4, 7, 23, 100]) {
      const after = (last?: Job) => ({ first: size, ...(last && { after: cursorOf(last) }) })
      const before = (last?: Job) => ({ last: size, ...(last && { before: cursorOf(last) }) })
      expect(await walk(database, after, 'NEWEST_FIRST')).toEqual(newestFirst)
      expect(await walk(database, before, 'NEWEST_FIRST')).toEqual(newestFirst.toReversed())
      expect(await walk(database, after, 'OLDEST_FIRST')).toEqual(newestFirst.toReversed())
      expect(await walk(database, before, 'OLDEST_FIRST')).toEqual(newestFirst)
    }
  })

  test('between two cursors give what lies between, and say what lies around', async ({ database }) => {
    const jobs = await manyJobs(database)
    const [after, before] = [jobs[4], jobs[9]].map((job) => job && cursorOf(job))
    if (!after || !before) throw new Error('There are too few jobs.')
    const between = await pageJobs(database, { page: { first: 3, after, before } })
    expect(between).toEqual({ rows: jobs.slice(5, 8), hasNextPage: true, hasPreviousPage: true })
    const last = await pageJobs(database, { page: { last: 3, after, before } })
    expect(last).toEqual({ rows: jobs.slice(6, 9), hasNextPage: true, hasPreviousPage: true })
    expect(await pageJobs(database, { page: { first: 50 } })).toMatchObject({
      hasNextPage: false,
      hasPreviousPage: false,
    })
  })

  test('hold only what the filter asks for', async ({ database }) => {
    const vaultId = crypto.randomUUID()
    const wanted = await enqueue(database, {
      operation: 'RESTORE',
      trigger: 'SCHEDULE',
      now: at(10),
      subject: { instanceId: one, vaultId },
    })
    const other = await enqueue(database, { now: at(20), subject: { instanceId: two } })
    await requestCancel(database, { jobId: other.id, actor: 'ann', now: at(21) })
    const ids = async (filter: Parameters<typeof countJobs>[1]) => {
      const { rows } = await pageJobs(database, { ...(filter && { filter }), page: { first: 10 } })
      expect(await countJobs(database, filter)).toBe(rows.length)
      return rows.map(({ id }) => (id === wanted.id ? 'wanted' : 'other'))
    }
    expect(await ids({})).toEqual(['other', 'wanted'])
    expect(await ids({ operations: ['RESTORE', 'VERIFY'] })).toEqual(['wanted'])
    expect(await ids({ statuses: ['CANCELLED'] })).toEqual(['other'])
    expect(await ids({ statuses: [] })).toEqual([])
    expect(await ids({ ids: [other.id] })).toEqual(['other'])
    expect(await ids({ instanceId: one })).toEqual(['wanted'])
    expect(await ids({ vaultId })).toEqual(['wanted'])
    expect(await ids({ trigger: 'SCHEDULE' })).toEqual(['wanted'])
    expect(await ids({ isOngoing: true })).toEqual(['wanted'])
    expect(await ids({ isOngoing: false })).toEqual(['other'])
    expect(await ids({ createdAfter: at(20) })).toEqual(['other'])
    expect(await ids({ createdBefore: at(20) })).toEqual(['wanted'])
    expect(await ids({ createdAfter: at(11), createdBefore: at(20) })).toEqual([])
    expect(await summariseJobs(database)).toEqual([
      { operation: 'BACKUP', status: 'CANCELLED', count: 1, bytesDone: 0 },
      { operation: 'RESTORE', status: 'QUEUED', count: 1, bytesDone: 0 },
    ])
    expect(await summariseJobs(database, { createdAfter: at(15) })).toHaveLength(1)
  })
})

describe('many at once', () => {
  test('jobs are found by their ids, and the newest of each instance', async ({ database }) => {
    const jobs = await manyJobs(database)
    const found = await findJobs(
      database,
      jobs.slice(0, 5).map(({ id }) => id),
    )
    expect(found).toEqual(new Map(jobs.slice(0, 5).map((job) => [job.id, job])))
    expect(await findJobs(database, [])).toEqual(new Map())
    const ofInstances = await findJobsOfInstances(database, [one, two, two, three], { limit: 3 })
    for (const id of [one, two]) {
      expect(ofInstances.get(id)).toEqual(jobs.filter(({ instanceId }) => instanceId === id).slice(0, 3))
    }
    expect(ofInstances.get(three)).toBeUndefined()
    const last = await findLastJobs(database, [one, three])
    expect([...last]).toEqual([[one, jobs.find(({ instanceId }) => instanceId === one)]])
    expect(await findLastJobs(database, [one], { statuses: ['FAILED'] })).toEqual(new Map())
  })

  test('sub tasks are those of the latest attempt that had any', async ({ database }) => {
    const [first, second] = [await enqueue(database), await enqueue(database)]
    const row = (jobId: string, attempt: number, position: number) => ({
      jobId,
      attempt,
      position,
      name: `${attempt}.${position}`,
      status: 'COMPLETED' as const,
    })
    await database
      .insert(jobSubTasks)
      .values([row(first.id, 1, 1), row(first.id, 3, 2), row(first.id, 3, 1), row(second.id, 2, 1)])
    const found = await findSubTasks(database, [first.id, second.id, crypto.randomUUID()])
    expect(found.get(first.id)?.map(({ name }) => name)).toEqual(['3.1', '3.2'])
    expect(found.get(second.id)?.map(({ name }) => name)).toEqual(['2.1'])
    expect(found.size).toBe(2)
  })

  test('events of one job come in pages of their sequence', async ({ database }) => {
    const { id } = await enqueue(database)
    await requestCancel(database, { jobId: id, actor: 'ann', now: new Date() })
    const sequences = async (page: Parameters<typeof eventsOf>[2]) => {
      const { rows, ...more } = await eventsOf(database, id, page)
      return { sequences: rows.map(({ sequence }) => sequence), ...more }
    }
    expect(await sequences({ first: 2 })).toEqual({
      sequences: [1, 2],
      hasNextPage: true,
      hasPreviousPage: false,
    })
    expect(await sequences({ first: 2, after: 2 })).toMatchObject({ sequences: [3], hasNextPage: false })
    expect(await sequences({ last: 2 })).toMatchObject({ sequences: [2, 3], hasPreviousPage: true })
    expect(await sequences({ last: 2, before: 2 })).toMatchObject({ sequences: [1], hasPreviousPage: false })
  })
})
