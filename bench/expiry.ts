import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { sql } from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/postgres-js'
import postgres from 'postgres'
import { connectDatabase, type Database } from '../src/database/connect.ts'
import { startEmbeddedDatabase } from '../src/database/embedded.ts'
import { migrateDatabase } from '../src/database/migrate.ts'
import { beginExpiry } from '../src/instance/expiry/begin-expiry.ts'
import { markExpired } from '../src/instance/expiry/mark-expired.ts'
import { startDueExpiries } from '../src/instance/expiry/start-due-expiries.ts'
import { row } from './kit/report.ts'

const instances = Number(process.env.BENCH_INSTANCES ?? 1_000)
const pointsEach = Number(process.env.BENCH_POINTS_EACH ?? 1_000)
const dueEach = 10
const connections = 2
const markAtMost = 1_000
const now = new Date('2026-03-01T12:00:00Z')

/**
 * How long it takes to enqueue, decide and mark everything that is due among 1,000,000 recovery points (1,000 instances
 * with 1,000 each, of which 10 are past their end), with two connections to the embedded database, and how much memory.
 */
async function main(): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'holdfast-bench-'))
  try {
    await using embedded = await startEmbeddedDatabase({ dataDirectory: folder })
    await migrateDatabase(embedded.url)
    await seed(embedded.url)
    await using connection = connectDatabase(embedded.url, { maxConnections: connections })
    const { database } = connection
    row('recovery points', String(instances * pointsEach), `due ${instances * dueEach}`, `${connections} connections`)
    await measure(database)
    await explain(database)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

async function measure(database: Database): Promise<void> {
  const before = process.memoryUsage.rss()
  let peak = before
  const watch = setInterval(() => {
    peak = Math.max(peak, process.memoryUsage.rss())
  }, 10)
  const startedAt = performance.now()
  for (let enqueued = 1; enqueued > 0; ) enqueued = await startDueExpiries(database, { now, atMost: 500 })
  const enqueuedAt = performance.now()
  const jobs = await database.execute<{ id: string }>(sql`select instance_id as id from jobs where status = 'QUEUED'`)
  let marked = 0
  const queue = jobs.map(({ id }) => id)
  const work = async () => {
    for (let instanceId = queue.pop(); instanceId !== undefined; instanceId = queue.pop()) {
      const plan = await beginExpiry(database, { instanceId, markAtMost, now })
      const { count } = await markExpired(database, { instanceId, ids: plan.marked.slice(markAtMost), now })
      marked += plan.markedCount + count
    }
  }
  await Promise.all(Array.from({ length: connections }, work))
  const endedAt = performance.now()
  clearInterval(watch)
  if (jobs.length !== instances || marked !== instances * dueEach) {
    throw new Error(`${jobs.length} jobs and ${marked} marked points: not what was seeded.`)
  }
  row('enqueue', `${((enqueuedAt - startedAt) / 1000).toFixed(2)} s`, `${jobs.length} jobs`)
  row('decide and mark', `${((endedAt - enqueuedAt) / 1000).toFixed(2)} s`, `${marked} points`)
  row('together', `${((endedAt - startedAt) / 1000).toFixed(2)} s`)
  row(
    'memory peak above start',
    `${((peak - before) / 2 ** 20).toFixed(0)} MiB`,
    `${(peak / 2 ** 20).toFixed(0)} MiB in all`,
  )
}

/** Over a connection of its own: the service's are cut when a statement takes so long. */
async function seed(url: string): Promise<void> {
  const client = postgres(url, { max: 1, onnotice: () => {} })
  await fill(drizzle({ client }))
  await client.end()
}

async function fill(database: Database): Promise<void> {
  await database.execute(
    sql`insert into backup_policies (id, name, created_at) values (gen_random_uuid(), 'a month', now())`,
  )
  await database.execute(sql`insert into policy_versions
      (policy_id, version, time_zone, default_retention, retention_rules, created_at, created_by)
    select id, 1, 'UTC', 'P30D', '[]', now(), 'bench' from backup_policies`)
  await database.execute(sql`insert into vaults (id, name, kind, location, location_key, recipient, sealed_identity, created_at)
    values (gen_random_uuid(), 'vault', 'DIRECTORY', '{}', 'vault', 'none', 'none', now())`)
  await database.execute(sql`insert into postgres_servers
      (id, name, host, port, username, sealed_password, password_set_at, maintenance_database, tls_mode, created_at)
    select gen_random_uuid(), 'server ' || i, 'localhost', 5432, 'nobody', 'none', now(), 'postgres', 'REQUIRE', now()
    from generate_series(1, ${instances}::int) i`)
  await database.execute(sql`insert into backup_instances
      (id, name, server_id, vault_id, policy_id, policy_version, state, state_since, created_at, expiry_due_at)
    select gen_random_uuid(), 'instance ' || s.name, s.id, v.id, p.id, 1, 'PROTECTION_CONFIGURED', now(), now(),
      ${now.toISOString()}::timestamptz - interval '1 hour'
    from postgres_servers s, vaults v, backup_policies p`)
  // Without the completed jobs that made them, which no statement of a run looks at; the oldest points are due.
  await database.execute(sql`set session_replication_role = replica`)
  await database.execute(sql`insert into recovery_points
      (id, instance_id, vault_id, job_id, prefix, state, tag, policy_name, policy_version, point_in_time, created_at,
       expires_at, proof, proven_at, manifest_sha256, server_version_number, tool_major, source_bytes, stored_bytes, databases)
    select gen_random_uuid(), instance_id, vault_id, job_id, 'points/' || instance_id || '/' || job_id || '.1/', 'AVAILABLE',
      'DEFAULT', 'a month', 1, at, at, ${now.toISOString()}::timestamptz + (n - ${dueEach}::int) * interval '1 hour',
      'READ_BACK', at, 'none', 150006, 15, 1000, 1000, '[]'
    from (select i.id as instance_id, i.vault_id, gen_random_uuid() as job_id, n,
        ${now.toISOString()}::timestamptz - (${pointsEach}::int - n) * interval '1 hour' as at
      from backup_instances i, generate_series(1, ${pointsEach}::int) n) s`)
  await database.execute(sql`vacuum analyze`)
}

/** By which indexes the statements of a run find their rows. */
async function explain(database: Database): Promise<void> {
  const [instance] = await database.execute<{ id: string }>(sql`select id from backup_instances limit 1`)
  const ofIt = sql`instance_id = ${instance?.id}::uuid`
  const statements = {
    'due points by': sql`select id, expires_at from recovery_points where ${ofIt} and marked_at is null
      and expires_at <= ${now.toISOString()} order by expires_at, id limit 1000`,
    'newest restorable by': sql`select id from recovery_points where ${ofIt} and state = 'AVAILABLE'
      order by created_at desc, id desc limit 1`,
    'best proven by': sql`select id from recovery_points where ${ofIt} and state = 'AVAILABLE'
      order by proof desc, created_at desc, id desc limit 1`,
    'all unmarked by': sql`select count(*) from recovery_points where ${ofIt} and marked_at is null`,
    'readers by': sql`select recovery_point_id from jobs where recovery_point_id in (${instance?.id}::uuid)
      and operation in ('RESTORE', 'VERIFY') and status in ('QUEUED', 'IN_PROGRESS', 'CANCELLING')`,
    'due instances by': sql`select id from backup_instances where expiry_due_at <= ${now.toISOString()}
      and state in ('PROTECTION_CONFIGURED') order by expiry_due_at limit 500`,
  }
  for (const [name, statement] of Object.entries(statements)) {
    const lines = await database.execute<{ 'QUERY PLAN': string }>(sql`explain ${statement}`)
    const text = lines.map((line) => line['QUERY PLAN']).join('\n')
    row(name, /Scan (?:Backward )?(?:using|on) (\w+)/.exec(text)?.[1] ?? text)
  }
}

await main()
