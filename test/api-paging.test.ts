import { eq } from 'drizzle-orm'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { jobs } from '../src/database/tables/job.ts'
import { encodeNodeId } from '../src/graphql/schema/ids.ts'
import { encodePageCursor } from '../src/graphql/schema/paging.ts'
import type { BackupInstance } from '../src/instance/instance.ts'
import type { Vault } from '../src/vault/vault.ts'
import { type Answer, type Api, at, listAt, startApi, textAt } from './kit/api.ts'
import { addInstance, addPoint, addServer, addVault } from './kit/catalogue.ts'
import { enqueue } from './kit/runner.ts'

let api: Api
beforeEach(async () => {
  api = await startApi()
})
afterEach(() => api[Symbol.asyncDispose]())

const pageInfo = 'pageInfo { hasNextPage hasPreviousPage startCursor endCursor } edges { cursor node { id } }'

/** Walks a list to its end and back; every row is met once each way, in the same order. */
async function walk(size: number, ask: (args: Record<string, unknown>) => Promise<unknown>): Promise<string[]> {
  const forwards: string[] = []
  let page = await ask({ first: size })
  expect(at(page, 'pageInfo.hasPreviousPage')).toBe(false)
  for (;;) {
    forwards.push(...listAt(page, 'edges').map((edge) => textAt(edge, 'node.id')))
    if (!at(page, 'pageInfo.hasNextPage')) break
    page = await ask({ first: size, after: at(page, 'pageInfo.endCursor') })
    expect(at(page, 'pageInfo.hasPreviousPage')).toBe(true)
  }
  const backwards: string[] = []
  page = await ask({ last: size })
  expect(at(page, 'pageInfo.hasNextPage')).toBe(false)
  for (;;) {
    backwards.unshift(...listAt(page, 'edges').map((edge) => textAt(edge, 'node.id')))
    if (!at(page, 'pageInfo.hasPreviousPage')) break
    page = await ask({ last: size, before: at(page, 'pageInfo.startCursor') })
    expect(at(page, 'pageInfo.hasNextPage')).toBe(true)
  }
  expect(backwards).toEqual(forwards)
  return forwards
}

const pageArguments = '$first: Int, $after: Cursor, $last: Int, $before: Cursor'
const passed = 'first: $first, after: $after, last: $last, before: $before'

test('jobs created at the same moment are each met once, forwards and backwards', async () => {
  const created = []
  for (let index = 0; index < 7; index += 1) {
    const now = index < 5 ? api.clock.now : new Date(api.clock.now.getTime() - 1)
    created.push(await enqueue(api.database, { now }))
  }
  const inOrder = created
    .toSorted((one, other) => Number(other.createdAt) - Number(one.createdAt) || (one.id < other.id ? 1 : -1))
    .map(({ id }) => encodeNodeId('Job', id))
  const ask = async (args: Record<string, unknown>) =>
    at(await api.ask(`query (${pageArguments}) { jobs(${passed}) { ${pageInfo} } }`, args), 'data.jobs')
  for (const size of [1, 2, 7, 100]) expect(await walk(size, ask)).toEqual(inOrder)
})

test('a moment kept finer than a cursor tells loses no row', async () => {
  for (let index = 0; index < 3; index += 1) await enqueue(api.database)
  await api.database.execute(`update jobs set created_at = '2026-03-01 12:00:00.000999+00'`)
  const ask = async (args: Record<string, unknown>) =>
    at(await api.ask(`query (${pageArguments}) { jobs(${passed}) { ${pageInfo} } }`, args), 'data.jobs')
  expect(await walk(1, ask)).toHaveLength(3)
})

test('a cursor that names what the database cannot keep is refused', async () => {
  const id = crypto.randomUUID()
  for (const time of [8.64e15, -8.64e15, Date.UTC(10_000, 0), -62_167_219_200_000]) {
    const after = encodePageCursor({ name: 'Job' }, { at: new Date(time), id })
    const answer = await api.ask(`{ jobs(after: "${after}") { nodes { id } } }`)
    expect(answer.errors, String(time)).toMatchObject([{ extensions: { code: 'BAD_USER_INPUT' } }])
  }
  const named = encodePageCursor({ name: 'BackupInstance' }, { at: api.clock.now, id, name: 'a\0b' })
  const answer = await api.ask(`{ backupInstances(orderBy: NAME_ASCENDING, after: "${named}") { nodes { id } } }`)
  expect(answer.errors).toMatchObject([{ extensions: { code: 'BAD_USER_INPUT' } }])
})

test('more bytes than a number can tell are told as the greatest one', async () => {
  for (const bytesDone of [2 ** 53 - 1, 2 ** 52]) {
    const { id } = await enqueue(api.database)
    await api.database.update(jobs).set({ bytesDone }).where(eq(jobs.id, id))
  }
  const { data } = await api.ask('{ jobSummary { bytesMoved counts { bytesMoved } } }')
  const most = Number.MAX_SAFE_INTEGER
  expect(at(data, 'jobSummary')).toEqual({ bytesMoved: most, counts: [{ bytesMoved: most }] })
})

describe('A list within an object', () => {
  let vault: Vault
  let instances: BackupInstance[]
  beforeEach(async () => {
    vault = await addVault(api, 'main')
    instances = []
    for (const name of ['one', 'two', 'three']) instances.push(await addInstance(api, { name, vault }))
    for (const instance of instances.slice(0, 2)) {
      for (let index = 0; index < 5; index += 1) await addPoint(api, instance)
    }
  })

  test('pages like the whole list', async () => {
    const asked: [string, string, string][] = [
      ['vault', encodeNodeId('Vault', vault.id), 'backupInstances'],
      ['backupInstance', encodeNodeId('BackupInstance', instances[0]?.id ?? ''), 'recoveryPoints'],
      ['backupInstance', encodeNodeId('BackupInstance', instances[1]?.id ?? ''), 'jobs'],
    ]
    for (const [noun, id, list] of asked) {
      const ask = async (args: Record<string, unknown>) => {
        const query = `query ($id: ID!, ${pageArguments}) { ${noun}(id: $id) { ${list}(${passed}) { totalCount ${pageInfo} } } }`
        return at(await api.ask(query, { id, ...args }), `data.${noun}.${list}`)
      }
      const ids = await walk(2, ask)
      expect(new Set(ids).size).toBe(ids.length)
      expect(at(await ask({}), 'totalCount')).toBe(ids.length)
    }
  })

  test('begins anew for each object, and is empty where there is nothing', async () => {
    const { data } = await api.ask(
      `{ backupInstances { nodes { name recoveryPoints(last: 2) { totalCount nodes { backupInstance { name } } pageInfo { hasPreviousPage startCursor } } } } }`,
    )
    const byName = Object.fromEntries(
      listAt(data, 'backupInstances.nodes').map((each) => [String(each.name), at(each, 'recoveryPoints')]),
    )
    for (const name of ['one', 'two']) {
      expect(byName[name]).toMatchObject({
        totalCount: 5,
        nodes: [{ backupInstance: { name } }, { backupInstance: { name } }],
        pageInfo: { hasPreviousPage: true },
      })
    }
    expect(byName.three).toEqual({ totalCount: 0, nodes: [], pageInfo: { hasPreviousPage: false, startCursor: null } })
  })

  test("of a job's events pages by their sequence", async () => {
    const job = await enqueue(api.database)
    await api.database.execute(
      `insert into job_events (job_id, sequence, transaction_id, at, type, status, attempt, data)
       select id, sequence, event_transaction_id, created_at, 'NOTED', 'QUEUED', 0, '{}' from jobs, generate_series(2, 5) sequence where id = '${job.id}'`,
    )
    const ask = async (args: Record<string, unknown>) => {
      const query = `query ($id: ID!, ${pageArguments}) { job(id: $id) { events(${passed}) { ${pageInfo.replace('id', 'id: sequence')} } } }`
      return at(await api.ask(query, { id: encodeNodeId('Job', job.id), ...args }), 'data.job.events')
    }
    expect(await walk(2, ask)).toEqual(['1', '2', '3', '4', '5'])
  })
})

describe('Bad arguments', () => {
  const refused = (answer: Answer) => {
    expect(answer.errors?.map(({ extensions }) => extensions.code)).toEqual(['BAD_USER_INPUT'])
  }

  test.each(['jobs', 'vaults', 'policies', 'servers', 'backupInstances', 'recoveryPoints', 'auditLog'])(
    'of %s are refused: sizes, both ends at once, and cursors that are not ours',
    async (list) => {
      for (const args of ['first: 0', 'first: 101', 'last: 0', 'last: 101', 'first: 1, last: 1', 'after: "AAAA"']) {
        refused(await api.ask(`{ ${list}(${args}) { nodes { id } } }`))
      }
    },
  )

  test('a cursor of one kind of list is refused by another', async () => {
    const job = await enqueue(api.database)
    const { data } = await api.ask(
      'query ($id: ID!) { job(id: $id) { events { edges { cursor node { cursor } } } } }',
      {
        id: encodeNodeId('Job', job.id),
      },
    )
    const [edge] = listAt(data, 'job.events.edges')
    for (const after of [at(edge, 'cursor'), at(edge, 'node.cursor')]) {
      refused(await api.ask('query ($after: Cursor) { jobs(after: $after) { nodes { id } } }', { after }))
    }
    const after = encodePageCursor({ name: 'Job' }, { at: new Date(), id: job.id })
    refused(
      await api.ask('query ($id: ID!, $after: Cursor) { job(id: $id) { events(after: $after) { nodes { type } } } }', {
        id: encodeNodeId('Job', job.id),
        after,
      }),
    )
  })

  test('an id that is none, or of another kind, is refused by queries', async () => {
    const server = encodeNodeId('PostgresServer', (await addServer(api)).id)
    for (const id of ['', 'x', '1', server.slice(1), `${server}=`]) {
      refused(await api.ask('query ($id: ID!) { server(id: $id) { id } }', { id }))
      refused(await api.ask('query ($id: ID!) { node(id: $id) { id } }', { id }))
    }
    refused(await api.ask('query ($id: ID!) { vault(id: $id) { id } }', { id: server }))
    refused(await api.ask('query ($id: ID!) { jobs(filter: { instance: $id }) { nodes { id } } }', { id: server }))
  })
})

test('instances and points are filtered by everything that is given', async () => {
  const vault = await addVault(api, 'main')
  const one = await addInstance(api, { name: 'Shop 100%', vault })
  const two = await addInstance(api, { name: 'other', state: 'PROTECTION_STOPPED' })
  const instances = async (filter: Record<string, unknown>) => {
    const query =
      'query ($filter: BackupInstanceFilter) { backupInstances(filter: $filter) { totalCount nodes { name } } }'
    const answer = await api.ask(query, { filter })
    return listAt(answer, 'data.backupInstances.nodes').map(({ name }) => name)
  }
  expect(await instances({ state: ['PROTECTION_STOPPED', 'SOFT_DELETED'] })).toEqual(['other'])
  expect(await instances({ vault: encodeNodeId('Vault', vault.id) })).toEqual(['Shop 100%'])
  expect(await instances({ server: encodeNodeId('PostgresServer', two.serverId) })).toEqual(['other'])
  expect(await instances({ policy: encodeNodeId('BackupPolicy', one.policyId) })).toHaveLength(2)
  expect(await instances({ nameContains: 'sHOP' })).toEqual(['Shop 100%'])
  expect(await instances({ nameContains: '0%' })).toEqual(['Shop 100%'])
  expect(await instances({ nameContains: '_' })).toEqual([])
  expect(await instances({ state: [] })).toEqual([])

  const hour = (count: number) => new Date(Date.UTC(2026, 0, 1, count))
  await addPoint(api, one, { createdAt: hour(1), proof: 'WRITTEN' })
  await addPoint(api, one, { createdAt: hour(2), proof: 'DECODED', tag: 'WEEKLY' })
  await addPoint(api, two, { createdAt: hour(3), proof: 'RESTORED', expiresAt: hour(4) })
  const points = async (filter: Record<string, unknown>) => {
    const query =
      'query ($filter: RecoveryPointFilter) { recoveryPoints(filter: $filter) { totalCount nodes { proof } } }'
    const answer = await api.ask(query, { filter })
    return listAt(answer, 'data.recoveryPoints.nodes').map(({ proof }) => proof)
  }
  expect(await points({})).toEqual(['RESTORED', 'DECODED', 'WRITTEN'])
  expect(await points({ minProof: 'DECODED' })).toEqual(['RESTORED', 'DECODED'])
  expect(await points({ tag: ['WEEKLY'] })).toEqual(['DECODED'])
  await addPoint(api, two, { createdAt: hour(0), proof: 'READ_BACK', state: 'SUSPECT', expiresAt: hour(9) })
  expect(await points({ state: ['SUSPECT'] })).toEqual(['READ_BACK'])
  expect(await points({ state: ['AVAILABLE'] })).toEqual(['RESTORED', 'DECODED', 'WRITTEN'])
  expect(await points({ state: [] })).toEqual([])
  expect(await points({ instance: encodeNodeId('BackupInstance', one.id) })).toEqual(['DECODED', 'WRITTEN'])
  expect(await points({ createdAfter: hour(2).toISOString(), createdBefore: hour(3).toISOString() })).toEqual([
    'DECODED',
  ])
  expect(await points({ expiresBefore: hour(5).toISOString() })).toEqual(['RESTORED'])
})
