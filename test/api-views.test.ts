import { eq } from 'drizzle-orm'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { backupInstances } from '../src/database/tables/backup-instance.ts'
import { jobs } from '../src/database/tables/job.ts'
import { encodeNodeId } from '../src/graphql/schema/ids.ts'
import type { JobStatus } from '../src/job/find.ts'
import { type Api, at, listAt, startApi, textAt } from './kit/api.ts'
import { addInstance, addVault } from './kit/catalogue.ts'
import { enqueue, errorSaying } from './kit/runner.ts'

let api: Api
beforeEach(async () => {
  api = await startApi()
})
afterEach(() => api[Symbol.asyncDispose]())

const minutesAgo = (minutes: number) => new Date(api.clock.now.getTime() - minutes * 60_000)

describe('The list of backup instances', () => {
  const list = async (args: string) => {
    const { data, errors } = await api.ask(
      `{ backupInstances(${args}) { totalCount nodes { name } edges { cursor } pageInfo { hasNextPage hasPreviousPage endCursor startCursor } } }`,
    )
    expect(errors).toBeUndefined()
    return at(data, 'backupInstances')
  }
  const names = async (args: string) => listAt(await list(args), 'nodes').map(({ name }) => String(name))

  test('is in the order that is asked for, page by page, forwards and backwards', async () => {
    const vault = await addVault(api)
    const made = ['b', 'd', 'a', 'ä: "x"', 'c']
    for (const [index, name] of made.entries())
      await addInstance(api, { name, vault, createdAt: minutesAgo(9 - index) })
    const newest = made.toReversed()
    const byName = await names('orderBy: NAME_ASCENDING')
    expect(byName.toSorted()).toEqual(made.toSorted())
    expect(byName.filter((name) => name.length === 1)).toEqual(['a', 'b', 'c', 'd'])
    const orders: [string, string[]][] = [
      ['NEWEST_FIRST', newest],
      ['OLDEST_FIRST', made],
      ['NAME_ASCENDING', byName],
      ['NAME_DESCENDING', byName.toReversed()],
    ]
    for (const [order, expected] of orders) {
      const met: string[] = []
      let place = ''
      for (;;) {
        const page = await list(`orderBy: ${order}, first: 2${place}`)
        met.push(...listAt(page, 'nodes').map(({ name }) => String(name)))
        if (at(page, 'pageInfo.hasNextPage') === false) break
        place = `, after: "${textAt(page, 'pageInfo.endCursor')}"`
      }
      expect(met).toEqual(expected)
      const last = await list(`orderBy: ${order}, last: 2`)
      const before = textAt(last, 'pageInfo.startCursor')
      expect(await names(`orderBy: ${order}, last: 2, before: "${before}"`)).toEqual(expected.slice(1, 3))
    }
    const cursor = textAt(await list('orderBy: NEWEST_FIRST, first: 1'), 'pageInfo.endCursor')
    expect(await names(`orderBy: NAME_ASCENDING, after: "${cursor}"`)).toEqual(byName.slice(byName.indexOf('c') + 1))
  })

  test('takes no cursor without a name in the order of names', async () => {
    await enqueue(api.database)
    const { data } = await api.ask('{ jobs { edges { cursor } } }')
    const cursor = textAt(listAt(data, 'jobs.edges')[0], 'cursor')
    const { errors } = await api.ask(`{ backupInstances(orderBy: NAME_ASCENDING, after: "${cursor}") { totalCount } }`)
    expect(errors?.[0]?.extensions.code).toBe('BAD_USER_INPUT')
  })

  test('is filtered by health and by being overdue', async () => {
    const change = async (name: string, columns: Partial<typeof backupInstances.$inferInsert>) => {
      const { id } = await addInstance(api, { name })
      await api.database.update(backupInstances).set(columns).where(eq(backupInstances.id, id))
    }
    await change('late', { overdueAt: minutesAgo(1), health: 'UNHEALTHY' })
    await change('due now', { overdueAt: api.clock.now, health: 'DEGRADED' })
    await change('in time', { overdueAt: minutesAgo(-1) })
    await change('on demand', { overdueAt: null })
    expect(await names('orderBy: NAME_ASCENDING, filter: { isOverdue: true }')).toEqual(['due now', 'late'])
    expect(await names('orderBy: NAME_ASCENDING, filter: { isOverdue: false }')).toEqual(['in time', 'on demand'])
    expect(await names('filter: { health: [UNHEALTHY] }')).toEqual(['late'])
    expect(await names('orderBy: NAME_ASCENDING, filter: { health: [UNHEALTHY, DEGRADED] }')).toEqual([
      'due now',
      'late',
    ])
    expect(await names('filter: { health: [HEALTHY], isOverdue: true }')).toEqual([])
    expect(at(await list('filter: { isOverdue: true }'), 'totalCount')).toBe(2)
  })
})

describe('Jobs', () => {
  const ended = async (status: JobStatus, code: string | null, job: Parameters<typeof enqueue>[1] = {}) => {
    const { id } = await enqueue(api.database, { now: api.clock.now, ...job })
    const error = code === null ? null : errorSaying(code)
    await api.database.update(jobs).set({ status, error, bytesDone: 3_000_000_000 }).where(eq(jobs.id, id))
    return encodeNodeId('Job', id)
  }

  test('that go on are told from those that have ended, in either order', async () => {
    const old = encodeNodeId('Job', (await enqueue(api.database, { now: minutesAgo(5) })).id)
    const running = await ended('IN_PROGRESS', null, { now: minutesAgo(4) })
    const done = await ended('COMPLETED', null, { now: minutesAgo(3) })
    const list = async (args: string) => {
      const { data } = await api.ask(`{ jobs(${args}) { nodes { id } } }`)
      return listAt(data, 'jobs.nodes').map(({ id }) => id)
    }
    expect(await list('filter: { isOngoing: true }')).toEqual([running, old])
    expect(await list('filter: { isOngoing: false }')).toEqual([done])
    expect(await list('orderBy: OLDEST_FIRST')).toEqual([old, running, done])
  })

  test('are summed up for a time, an instance or a vault, with why they failed', async () => {
    const instance = await addInstance(api)
    const subject = { instanceId: instance.id, vaultId: instance.vaultId }
    await ended('FAILED', 'STORAGE_FULL', { now: minutesAgo(90), subject })
    await ended('FAILED', 'STORAGE_FULL', { now: minutesAgo(60), subject })
    const latest = await ended('FAILED', 'STORAGE_FULL', { now: minutesAgo(30) })
    await ended('FAILED', 'SERVER_UNREACHABLE', { now: minutesAgo(30) })
    await ended('QUEUED', 'SERVER_UNREACHABLE', { now: minutesAgo(30) })
    await ended('COMPLETED', null, { now: minutesAgo(10), operation: 'VERIFY' })
    const summary = async (args: string, statements?: number) => {
      api.statements.length = 0
      const { data, errors } = await api.ask(
        `{ jobSummary${args} { totalCount bytesMoved counts { operation status count bytesMoved } failures { code count latestJob { id } } } }`,
      )
      expect(errors).toBeUndefined()
      if (statements !== undefined) expect(api.statements).toHaveLength(statements)
      return at(data, 'jobSummary')
    }
    expect(await summary('', 3)).toEqual({
      totalCount: 6,
      bytesMoved: 18_000_000_000,
      counts: [
        { operation: 'BACKUP', status: 'QUEUED', count: 1, bytesMoved: 3_000_000_000 },
        { operation: 'BACKUP', status: 'FAILED', count: 4, bytesMoved: 12_000_000_000 },
        { operation: 'VERIFY', status: 'COMPLETED', count: 1, bytesMoved: 3_000_000_000 },
      ],
      failures: [
        { code: 'STORAGE_FULL', count: 3, latestJob: { id: latest } },
        { code: 'SERVER_UNREACHABLE', count: 1, latestJob: { id: expect.any(String) } },
      ],
    })
    const time = `since: "${minutesAgo(60).toISOString()}", until: "${minutesAgo(10).toISOString()}"`
    expect(await summary(`(${time})`)).toMatchObject({ totalCount: 4, failures: [{ count: 2 }, { count: 1 }] })
    const about = `instance: "${encodeNodeId('BackupInstance', instance.id)}"`
    expect(await summary(`(${about})`)).toMatchObject({ totalCount: 2, failures: [{ count: 2 }] })
    const vault = `vault: "${encodeNodeId('Vault', instance.vaultId)}"`
    expect(await summary(`(${vault}, ${time})`)).toMatchObject({ totalCount: 1, failures: [{ count: 1 }] })
    expect(await summary(`(until: "${minutesAgo(100).toISOString()}")`, 2)).toEqual({
      totalCount: 0,
      bytesMoved: 0,
      counts: [],
      failures: [],
    })
    const odd = await api.ask('{ jobSummary { failures(first: 0) { count } } }')
    expect(odd.errors?.[0]?.extensions.code).toBe('BAD_USER_INPUT')
  })
})
