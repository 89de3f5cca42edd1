import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import postgres from 'postgres'
import { connectDatabase, type Database } from '../src/database/connect.ts'
import { migrateDatabase } from '../src/database/migrate.ts'
import { seedPolicies } from '../src/policy/seed.ts'
import { databaseKey, findContents, pageSchemas, pageTables } from '../src/recovery-point/contents/find.ts'
import { adoptContents, stageContents } from '../src/recovery-point/contents/record.ts'
import { listedDatabase, manyTables, plainRole } from '../test/kit/contents.ts'
import { seedHistory } from './kit/history.ts'
import { median, quantile, row } from './kit/report.ts'
import { startSource } from './kit/source.ts'

const rounds = Number(process.env.BENCH_ROUNDS ?? 200)
const counts = (process.env.BENCH_TABLES ?? '10,10000,100000').split(',').map(Number)

/** What it costs to write down and to list what a recovery point holds, by its number of tables. */
async function main(): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'holdfast-bench-'))
  try {
    await using cluster = await startSource(join(folder, 'metadata'), 1)
    const url = cluster.url('catalogue')
    const admin = postgres(cluster.url('postgres'), { max: 1, onnotice: () => {} })
    await admin.unsafe('create database catalogue')
    await admin.end()
    await migrateDatabase(url)
    await using connection = connectDatabase(url)
    await seedPolicies(connection.database, { now: new Date() })
    await seedHistory(url, { instances: counts.length, withHistory: 0 })
    const points = await connection.database.execute<{ id: string; job_id: string }>(
      'select id, job_id from recovery_points order by id',
    )
    for (const [index, count] of counts.entries()) {
      const { id, job_id: jobId } = points[index] ?? { id: '', job_id: '' }
      await write(connection.database, { id, jobId, count })
    }
    await connection.database.execute('vacuum analyze')
    for (const [index, count] of counts.entries()) await list(connection.database, points[index]?.id ?? '', count)
    const [size] = await connection.database.execute<{ size: string }>(
      `select pg_size_pretty(pg_total_relation_size('recovery_point_tables')) as size`,
    )
    row(`all ${counts.reduce((sum, count) => sum + count)} tables with their indexes`, size?.size ?? '')
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

async function write(
  database: Database,
  { id, jobId, count }: { id: string; jobId: string; count: number },
): Promise<void> {
  const facts = { databases: [listedDatabase('shop', manyTables(count))], roles: [plainRole] }
  const stagedAt = performance.now()
  const contentsId = await stageContents(database, { facts, jobId, now: new Date() })
  const adoptedAt = performance.now()
  await database.transaction((tx) => adoptContents(tx, { contentsId, recoveryPointId: id }))
  row(
    `${count} tables written`,
    `before the settle ${Math.round(adoptedAt - stagedAt)} ms`,
    `in it ${(performance.now() - adoptedAt).toFixed(1)} ms`,
  )
}

async function list(database: Database, recoveryPointId: string, count: number): Promise<void> {
  const contents = (await findContents(database, [recoveryPointId])).get(recoveryPointId)
  if (!contents) throw new Error('Nothing was written down.')
  const keys = [databaseKey({ contentsId: contents.id, position: 0 })]
  const page = { first: 100 }
  const middle = { first: 100, after: Math.floor(count / 2) }
  const schema = `tenant ${String(Math.floor(count / 20)).padStart(6, '0')}`
  const questions: [string, () => Promise<unknown>][] = [
    ['databases', () => findContents(database, [recoveryPointId])],
    ['100 schemas', () => pageSchemas(database, { keys, page })],
    ['100 tables by name', () => pageTables(database, { keys, filter: {}, order: 'NAME', page })],
    [
      '100 tables by name, from the middle',
      () => pageTables(database, { keys, filter: {}, order: 'NAME', page: middle }),
    ],
    ['the 100 largest tables', () => pageTables(database, { keys, filter: {}, order: 'SIZE', page })],
    ['tables of one schema', () => pageTables(database, { keys, filter: { schema }, order: 'NAME', page })],
    ['the largest tables of one schema', () => pageTables(database, { keys, filter: { schema }, order: 'SIZE', page })],
    [
      'tables by a text that is in no name',
      () => pageTables(database, { keys, filter: { nameContains: 'nowhere' }, order: 'NAME', page }),
    ],
  ]
  row(`of ${count} tables`)
  for (const [name, ask] of questions) {
    const tookMs: number[] = []
    for (let round = 0; round < rounds; round++) {
      const askedAt = performance.now()
      await ask()
      tookMs.push(performance.now() - askedAt)
    }
    row(`  ${name}`, `p50 ${median(tookMs).toFixed(1)} ms`, `p99 ${quantile(tookMs, 0.99).toFixed(1)} ms`)
  }
}

await main()
