import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { drizzle } from 'drizzle-orm/postgres-js'
import { pino } from 'pino'
import postgres from 'postgres'
import { connectDatabase, type Database } from '../src/database/connect.ts'
import { startListener } from '../src/database/listen.ts'
import { migrateDatabase } from '../src/database/migrate.ts'
import type { Services } from '../src/graphql/context.ts'
import { startServer } from '../src/graphql/edge/server.ts'
import { seedPolicies } from '../src/policy/seed.ts'
import { openSecretBox } from '../src/secret/secret-box.ts'
import { dashboardQuery } from '../test/kit/dashboard.ts'
import { quietHealth } from '../test/kit/quiet-health.ts'
import { seedHistory } from './kit/history.ts'
import { median, quantile, row } from './kit/report.ts'
import { startSource } from './kit/source.ts'

const rounds = Number(process.env.BENCH_ROUNDS ?? 100)
const counts = (process.env.BENCH_INSTANCES ?? '1000,100000').split(',').map(Number)
/** So many of the newest instances have 20 points and 30 jobs each; the others have one point and two jobs. */
const withHistory = Number(process.env.BENCH_WITH_HISTORY ?? 1000)

/** What a dashboard's page costs: statements, and time through HTTP, with few and with many instances beside those shown. */
async function main(): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'holdfast-bench-'))
  try {
    await using cluster = await startSource(join(folder, 'metadata'), 1)
    for (const count of counts) {
      const url = cluster.url(`bench_${count}`)
      const admin = postgres(cluster.url('postgres'), { max: 1, onnotice: () => {} })
      await admin.unsafe(`create database bench_${count}`)
      await admin.end()
      await migrateDatabase(url)
      await measure(url, folder, count)
    }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

async function measure(url: string, folder: string, count: number): Promise<void> {
  await using connection = connectDatabase(url)
  await seedPolicies(connection.database, { now: new Date() })
  const startedAt = performance.now()
  const seeded = await seedHistory(url, { instances: count, withHistory: Math.min(withHistory, count) })
  row(
    `${count} instances seeded`,
    `${seeded.points} points`,
    `${seeded.jobs} jobs`,
    `${Math.round((performance.now() - startedAt) / 1000)} s`,
  )
  const week = new Date(Date.now() - 7 * 86_400_000).toISOString()
  const questions: [string, string][] = [
    ['the dashboard of 1 instance', dashboardQuery(1)],
    ['the dashboard of 50 instances', dashboardQuery(50)],
    ['names of 50 instances, by name', '{ backupInstances(first: 50, orderBy: NAME_ASCENDING) { nodes { name } } }'],
    ['names of 50 overdue instances', '{ backupInstances(first: 50, filter: { isOverdue: true }) { nodes { name } } }'],
    [
      'the jobs of the last seven days, summed up',
      `{ jobSummary(since: "${week}") { totalCount bytesMoved counts { count } failures { code count } } }`,
    ],
  ]
  const statements: string[] = []
  const client = postgres(url, { onnotice: () => {}, debug: (_connection, text) => void statements.push(text) })
  const counting: Database = drizzle({ client, casing: 'snake_case' })
  await using api = await serve(url, folder, connection.database)
  await using counted = await serve(url, folder, counting)
  for (const [name, query] of questions) {
    await counted.ask(query)
    statements.length = 0
    await counted.ask(query)
    const cost = statements.length
    const tookMs: number[] = []
    for (let round = 0; round < rounds; round++) {
      const askedAt = performance.now()
      await api.ask(query)
      tookMs.push(performance.now() - askedAt)
    }
    row(
      `  ${name}`,
      `${cost} statements`,
      `p50 ${median(tookMs).toFixed(1)} ms`,
      `p99 ${quantile(tookMs, 0.99).toFixed(1)} ms`,
    )
  }
  await client.end()
}

/** The API in this process over a database. */
async function serve(url: string, folder: string, database: Database) {
  const listener = await startListener(url)
  const services: Services = {
    ...(await unused(folder)),
    database,
    listener,
    now: () => new Date(),
  }
  const server = await startServer({
    services,
    host: '127.0.0.1',
    port: 0,
    apiToken: null,
    log: pino({ level: 'silent' }),
    ...quietHealth,
  })
  return {
    async ask(query: string): Promise<void> {
      const response = await fetch(`http://127.0.0.1:${server.port}/graphql`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ query }),
      })
      const { errors } = await response.json()
      if (errors) throw new Error(JSON.stringify(errors))
    },
    async [Symbol.asyncDispose]() {
      await server[Symbol.asyncDispose]()
      await listener[Symbol.asyncDispose]()
    },
  }
}

/** Services that no question of these needs. */
async function unused(folder: string): Promise<Omit<Services, 'database' | 'listener' | 'now'>> {
  return {
    secrets: await openSecretBox(join(folder, 'key')),
    channelRules: { allowHttp: false, canMail: false },
    metadataBackupMs: 24 * 3_600_000,
    removalGraceMs: 0,
    retentionLimits: { minDays: 7, maxDays: 3660 },
  }
}

await main()
