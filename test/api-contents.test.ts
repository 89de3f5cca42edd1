import { afterAll, beforeAll, expect, test } from 'vitest'
import type { PointFacts } from '../src/recovery-point/contents/contents.ts'
import { recordContents } from '../src/recovery-point/contents/record.ts'
import type { RecoveryPoint } from '../src/recovery-point/recovery-point.ts'
import { type Api, at, listAt, startApi } from './kit/api.ts'
import { addInstance, addPoint } from './kit/catalogue.ts'
import { listedDatabase, manyTables, plainRole } from './kit/contents.ts'

let api: Api
let point: RecoveryPoint & { jobId: string }
let old: RecoveryPoint & { jobId: string }

const nasty = `it's a "schema"=x\n-é %_`

const facts: PointFacts = {
  databases: [
    listedDatabase('many', manyTables(230)),
    listedDatabase(
      'nasty',
      [
        { schema: nasty, name: nasty, rows: 3, bytes: 8192 },
        {
          schema: 'public',
          name: 'orders_1',
          rows: 5,
          bytes: 16_384,
          partitionOf: { schema: 'public', name: 'orders' },
        },
      ],
      {
        schemas: [nasty, 'empty', 'public'].map((name) => ({ name, ownerName: 'owner' })),
        partitionedTables: [{ schema: 'public', name: 'orders' }],
      },
    ),
  ],
  roles: [{ ...plainRole, memberOf: ['staff'] }],
}

beforeAll(async () => {
  api = await startApi()
  const instance = await addInstance(api)
  point = await addPoint(api, instance)
  old = await addPoint(api, instance, { createdAt: new Date(api.clock.now.getTime() - 1000) })
  await record(point, facts)
  for (let count = 0; count < 8; count += 1) await record(await addPoint(api, instance), facts)
})
afterAll(() => api[Symbol.asyncDispose]())

function record({ id: recoveryPointId, jobId }: RecoveryPoint, what: PointFacts): Promise<void> {
  return recordContents(api.database, {
    recoveryPointId,
    facts: what,
    jobId: jobId ?? recoveryPointId,
    now: api.clock.now,
  })
}

async function contentsOf({ id }: RecoveryPoint, selection: string): Promise<unknown> {
  const node = Buffer.from(`RecoveryPoint:${id}`).toString('base64url')
  const { data, errors } = await api.ask(`{ recoveryPoint(id: "${node}") { contents { ${selection} } } }`)
  expect(errors).toBeUndefined()
  return at(data, 'recoveryPoint.contents')
}

const database = (contents: unknown, position: number) => listAt(contents, 'databases')[position]

test('a point of which nothing was written down says so by null', async () => {
  expect(await contentsOf(old, 'recordedAt')).toBeNull()
})

test('databases, roles, schemas and tables are told as the manifest told them', async () => {
  const contents = await contentsOf(
    point,
    `recordedAt roles { name canLogin connectionLimit memberOf }
     databases { name owner sourceBytes encoding localeProvider collate locale schemaCount tableCount rowCount
       extensions { name version schema } schemas { nodes { name owner tableCount rowCount bytes } totalCount }
       tables { nodes { schema name kind rowCount bytes partitionOf { schema name } } totalCount } }`,
  )
  expect(at(contents, 'roles')).toEqual([{ name: 'app', canLogin: true, connectionLimit: null, memberOf: ['staff'] }])
  expect(database(contents, 0)).toMatchObject({ name: 'many', schemaCount: 23, tableCount: 230, rowCount: 26335 })
  expect(database(contents, 1)).toEqual({
    name: 'nasty',
    owner: 'owner',
    sourceBytes: 5000000,
    encoding: 'UTF8',
    localeProvider: 'LIBC',
    collate: 'C.UTF-8',
    locale: null,
    schemaCount: 3,
    tableCount: 2,
    rowCount: 8,
    extensions: [{ name: 'plpgsql', version: '1.0', schema: 'pg_catalog' }],
    schemas: {
      nodes: [
        { name: 'empty', owner: 'owner', tableCount: 0, rowCount: 0, bytes: 0 },
        { name: nasty, owner: 'owner', tableCount: 1, rowCount: 3, bytes: 8192 },
        { name: 'public', owner: 'owner', tableCount: 1, rowCount: 5, bytes: 16384 },
      ],
      totalCount: 3,
    },
    tables: {
      nodes: [
        { schema: nasty, name: nasty, kind: 'TABLE', rowCount: 3, bytes: 8192, partitionOf: null },
        { schema: 'public', name: 'orders', kind: 'PARTITIONED_TABLE', rowCount: 0, bytes: null, partitionOf: null },
        {
          schema: 'public',
          name: 'orders_1',
          kind: 'PARTITION',
          rowCount: 5,
          bytes: 16384,
          partitionOf: { schema: 'public', name: 'orders' },
        },
      ],
      totalCount: 3,
    },
  })
})

test.each([
  ['NAME', manyTables(230).map(({ schema, name }) => `${schema}.${name}`)],
  [
    'SIZE',
    manyTables(230)
      .sort((left, right) => (right.bytes ?? 0) - (left.bytes ?? 0))
      .map(({ schema, name }) => `${schema}.${name}`),
  ],
])('pages by %s hold every table once, forwards and backwards', async (order, expected) => {
  const read = async (size: 'first' | 'last', beyond: 'after' | 'before', end: 'endCursor' | 'startCursor') => {
    const pages: string[][] = []
    let cursor: unknown = null
    do {
      const from = cursor === null ? '' : `, ${beyond}: "${cursor}"`
      const contents = await contentsOf(
        point,
        `database(name: "many") { tables(orderBy: ${order}, ${size}: 37${from}) { nodes { schema name }
          pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } }`,
      )
      const tables = at(contents, 'database.tables')
      pages.push(listAt(tables, 'nodes').map(({ schema, name }) => `${schema}.${name}`))
      const hasMore = at(tables, `pageInfo.${beyond === 'after' ? 'hasNextPage' : 'hasPreviousPage'}`)
      cursor = hasMore === true ? at(tables, `pageInfo.${end}`) : null
    } while (cursor !== null)
    return pages
  }
  expect((await read('first', 'after', 'endCursor')).flat()).toEqual(expected)
  expect((await read('last', 'before', 'startCursor')).reverse().flat()).toEqual(expected)
})

test('tables are found by schema and by a part of their name, and counted only when that is asked for', async () => {
  const tables = async (args: string) => {
    const contents = await contentsOf(
      point,
      `database(name: "many") { tables(${args}) { totalCount nodes { schema name } } }`,
    )
    return { count: at(contents, 'database.tables.totalCount'), nodes: listAt(contents, 'database.tables.nodes') }
  }
  const ofSchema = await tables('schema: "tenant 000007", orderBy: SIZE')
  expect(ofSchema.count).toBe(10)
  expect(new Set(ofSchema.nodes.map(({ schema }) => schema))).toEqual(new Set(['tenant 000007']))
  expect((await tables('schema: "tenant 7"')).nodes).toEqual([])
  const byName = await tables('nameContains: "TABLE 3", first: 4')
  expect(byName.count).toBe(23)
  expect(byName.nodes.map(({ name }) => name)).toEqual(Array(4).fill('table 3'))
  expect(await tables('schema: "tenant 000007", nameContains: "3"')).toMatchObject({ count: 1 })
  // What patterns of SQL would take for signs of their own is text like any other.
  expect((await tables('nameContains: "%"')).nodes).toEqual([])
  const schemas = await contentsOf(
    point,
    'database(name: "many") { schemas(nameContains: "00000") { totalCount nodes { name } } } unknown: database(name: "x") { name }',
  )
  expect(at(schemas, 'database.schemas.totalCount')).toBe(10)
  expect(at(schemas, 'unknown')).toBeNull()
})

test('a cursor of another database or list is refused', async () => {
  const contents = await contentsOf(
    point,
    'database(name: "many") { schemas(first: 1) { pageInfo { endCursor } } tables(first: 1) { pageInfo { endCursor } } }',
  )
  const ask = async (name: string, list: string, cursor: unknown) => {
    const node = Buffer.from(`RecoveryPoint:${point.id}`).toString('base64url')
    const { errors } = await api.ask(
      `{ recoveryPoint(id: "${node}") { contents { database(name: "${name}") { ${list}(after: "${cursor}") { totalCount } } } } }`,
    )
    return errors?.[0]?.extensions.code
  }
  const cursors = { schemas: '', tables: '' }
  for (const list of ['schemas', 'tables'] as const)
    cursors[list] = String(at(contents, `database.${list}.pageInfo.endCursor`))
  expect(await ask('many', 'tables', cursors.tables)).toBeUndefined()
  expect(await ask('many', 'schemas', cursors.schemas)).toBeUndefined()
  expect(await ask('nasty', 'tables', cursors.tables)).toBe('BAD_USER_INPUT')
  expect(await ask('many', 'tables', cursors.schemas)).toBe('BAD_USER_INPUT')
  expect(await ask('many', 'schemas', cursors.tables)).toBe('BAD_USER_INPUT')
  const strange = Buffer.from(`${Buffer.from(cursors.tables, 'base64url')}9999999999`).toString('base64url')
  expect(await ask('many', 'tables', strange)).toBe('BAD_USER_INPUT')
})

test('the contents of a page of points cost as many statements for ten points as for one', async () => {
  const cost = async (first: number) => {
    const query = `{ recoveryPoints(first: ${first}) { nodes { contents { roles { name } databases { name
      schemas(first: 3, nameContains: "a") { totalCount nodes { name } }
      tables(first: 3, nameContains: "a") { totalCount nodes { name } } } } } } }`
    await api.ask(query)
    api.statements.length = 0
    const { data, errors } = await api.ask(query)
    expect(errors).toBeUndefined()
    expect(listAt(data, 'recoveryPoints.nodes')).toHaveLength(first)
    return api.statements.length
  }
  expect(await cost(10)).toBe(await cost(1))
  expect(await cost(10)).toBeLessThanOrEqual(7)
})
