import postgres from 'postgres'
import { describe, expect } from 'vitest'
import type { Cluster } from '../src/cluster/start.ts'
import { recoveryPointContents } from '../src/database/tables/recovery-point-contents.ts'
import { backUpNow } from '../src/instance/back-up-now.ts'
import type { DatabaseContents, PointContents } from '../src/recovery-point/contents/contents.ts'
import { databaseKey, findContents, findRolesIn, pageSchemas, pageTables } from '../src/recovery-point/contents/find.ts'
import { verifyRecoveryPoint } from '../src/recovery-point/verify.ts'
import { findRecoveryPointsOf } from './kit/points.ts'
import { actor, protect, type Service, startService } from './kit/protected-server.ts'
import { test } from './kit/test.ts'

const nasty = `it's a "table"=x\n-é`

/** Runs statements on a database of any name, one after the other. */
async function runSql(cluster: Cluster, database: string, ...statements: string[]): Promise<void> {
  const { host, port, superuser: username, password } = cluster
  const sql = postgres({ host, port, username, password, database, max: 1, onnotice: () => {} })
  try {
    for (const statement of statements) await sql.unsafe(statement)
  } finally {
    await sql.end()
  }
}

async function contentsAfterBackup(service: Service, instanceId: string): Promise<PointContents> {
  const job = await backUpNow(service.database, { instanceId, actor, now: new Date() })
  expect(await service.ended(job.id)).toMatchObject({ status: 'COMPLETED', warnings: [] })
  const [point] = await findRecoveryPointsOf(service.database, instanceId)
  const contents = (await findContents(service.database, [point?.id ?? ''])).get(point?.id ?? '')
  if (!contents) throw new Error('Nothing was written down.')
  return contents
}

function databaseOf({ id: contentsId, databases }: PointContents, name: string): DatabaseContents {
  const position = databases.findIndex((each) => each.name === name)
  const found = databases[position]
  if (!found) throw new Error(`There is no database ${name}.`)
  return { ...found, contentsId, position }
}

async function listedIn(service: Service, database: DatabaseContents) {
  const key = databaseKey(database)
  const page = { first: 100 }
  const schemas = await pageSchemas(service.database, { keys: [key], page })
  const tables = await pageTables(service.database, { keys: [key], filter: {}, order: 'NAME', page })
  return { schemas: schemas.get(key)?.rows ?? [], tables: tables.get(key)?.rows ?? [] }
}

describe('a backup writes down what its point holds', () => {
  test('databases, roles, empty schemas, and tables of any name with their rows and bytes', async ({
    databaseUrl,
    folder,
    source,
  }) => {
    await runSql(
      source,
      'postgres',
      `create role "the 'owner'" nologin createdb`,
      "create role member login password 'a secret word' in role \"the 'owner'\"",
      `comment on role member is 'a secret word'`,
      `create database "${nasty.replaceAll('"', '""')}" owner "the 'owner'" template template0 encoding 'UTF8' lc_collate 'C' lc_ctype 'C'`,
    )
    await runSql(
      source,
      nasty,
      `create schema "${nasty.replaceAll('"', '""')}" authorization "the 'owner'"`,
      'create schema empty',
      `create table "${nasty.replaceAll('"', '""')}"."${nasty.replaceAll('"', '""')}" (words text)`,
      `insert into "${nasty.replaceAll('"', '""')}"."${nasty.replaceAll('"', '""')}" select repeat(md5(n::text), 100) from generate_series(1, 500) n`,
      'create table public.nothing ()',
      'create table public.indexed (id int primary key)',
      'create schema ext',
      'create extension hstore schema ext',
    )
    await using service = await startService({ databaseUrl, folder })
    const { instance } = await protect(service, source, folder)
    const contents = await contentsAfterBackup(service, instance.id)

    const database = databaseOf(contents, nasty)
    expect(database).toMatchObject({
      ownerName: `the 'owner'`,
      encoding: 'UTF8',
      collate: 'C',
      ctype: 'C',
      schemaCount: 4,
      tableCount: 3,
      listedTableCount: 3,
      rowCount: 500,
    })
    expect(database.extensions).toContainEqual(expect.objectContaining({ name: 'hstore', schema: 'ext' }))
    const { schemas, tables } = await listedIn(service, database)
    expect(schemas.map(({ name, tableCount, rowCount }) => [name, tableCount, rowCount])).toEqual([
      ['empty', 0, 0],
      ['ext', 0, 0],
      [nasty, 1, 500],
      ['public', 2, 0],
    ])
    expect(schemas[2]?.ownerName).toBe(`the 'owner'`)
    expect(tables.map(({ schema, name, kind, rowCount }) => [schema, name, kind, rowCount])).toEqual([
      [nasty, nasty, 'TABLE', 500],
      ['public', 'indexed', 'TABLE', 0],
      ['public', 'nothing', 'TABLE', 0],
    ])
    expect(tables[0]?.sizeBytes).toBeGreaterThan(0)
    // An empty table takes no space, and the page of its index is not counted.
    expect(tables[1]?.sizeBytes).toBe(0)
    expect(schemas[2]?.sizeBytes).toBe(tables[0]?.sizeBytes)

    const roles = (await findRolesIn(service.database, [contents.id])).get(contents.id)
    expect(roles).toContainEqual(expect.objectContaining({ name: 'member', canLogin: true, memberOf: [`the 'owner'`] }))
    expect(JSON.stringify([contents, roles])).not.toContain('a secret word')
  })

  test('partitions are counted as themselves, under the tables that they are partitions of', async ({
    databaseUrl,
    folder,
    source,
  }) => {
    await runSql(source, 'postgres', 'create database parted')
    await runSql(
      source,
      'parted',
      'create schema parts',
      'create table orders (id int, year int) partition by list (year)',
      'create table parts.orders_2024 partition of orders for values in (2024) partition by range (id)',
      'create table parts.orders_2024_low partition of parts.orders_2024 for values from (0) to (100)',
      'create table parts.orders_2025 partition of orders for values in (2025)',
      'insert into orders select n, 2024 from generate_series(0, 9) n',
      'insert into orders select n, 2025 from generate_series(1, 7) n',
      'create table parent (id int)',
      'create table child () inherits (parent)',
      'insert into child values (1)',
    )
    await using service = await startService({ databaseUrl, folder })
    const { instance } = await protect(service, source, folder)
    const database = databaseOf(await contentsAfterBackup(service, instance.id), 'parted')
    expect(database).toMatchObject({ tableCount: 4, listedTableCount: 6, rowCount: 18 })
    const { tables } = await listedIn(service, database)
    expect(
      tables.map(({ schema, name, kind, rowCount, partitionOf }) => [schema, name, kind, rowCount, partitionOf]),
    ).toEqual([
      ['parts', 'orders_2024', 'PARTITIONED_TABLE', 0, { schema: 'public', name: 'orders' }],
      ['parts', 'orders_2024_low', 'PARTITION', 10, { schema: 'parts', name: 'orders_2024' }],
      ['parts', 'orders_2025', 'PARTITION', 7, { schema: 'public', name: 'orders' }],
      ['public', 'child', 'TABLE', 1, null],
      ['public', 'orders', 'PARTITIONED_TABLE', 0, null],
      ['public', 'parent', 'TABLE', 0, null],
    ])
  })

  test('what a backup that failed had listed is gone when the next one lists its own', async ({
    databaseUrl,
    folder,
    source,
  }) => {
    await using service = await startService({ databaseUrl, folder })
    const { instance } = await protect(service, source, folder)
    const leftover = {
      id: crypto.randomUUID(),
      jobId: crypto.randomUUID(),
      databases: [],
      roles: [],
      recordedAt: new Date(),
    }
    await service.database.insert(recoveryPointContents).values(leftover)
    const contents = await contentsAfterBackup(service, instance.id)
    const all = await service.database.select().from(recoveryPointContents)
    expect(all.map(({ id }) => id)).toEqual([contents.id])
  })

  test('a verification writes down what a point of an older version holds', async ({ databaseUrl, folder, source }) => {
    await runSql(source, 'postgres', 'create table if not exists remembered (id int)')
    await using service = await startService({ databaseUrl, folder })
    const { instance } = await protect(service, source, folder)
    const before = await contentsAfterBackup(service, instance.id)
    await service.database.delete(recoveryPointContents)
    const [point] = await findRecoveryPointsOf(service.database, instance.id)
    const recoveryPointId = point?.id ?? ''
    expect(await findContents(service.database, [recoveryPointId])).toEqual(new Map())
    const job = await verifyRecoveryPoint(service.database, { recoveryPointId, actor, now: new Date() })
    expect(await service.ended(job.id)).toMatchObject({ status: 'COMPLETED', warnings: [] })
    const after = (await findContents(service.database, [recoveryPointId])).get(recoveryPointId)
    expect(after?.databases).toEqual(before.databases)
  })
})
