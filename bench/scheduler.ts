import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { sql } from 'drizzle-orm'
import { connectDatabase, type Database } from '../src/database/connect.ts'
import { startEmbeddedDatabase } from '../src/database/embedded.ts'
import { migrateDatabase } from '../src/database/migrate.ts'
import { startDueBackups } from '../src/instance/schedule/start-due-backups.ts'
import { median, row } from './kit/report.ts'

const sizes = [1_000, 10_000, 100_000]
const dueAtOnce = 500
const rounds = Number(process.env.BENCH_ROUNDS ?? 7)
const dayMs = 86_400_000
const firstDay = Date.parse('2026-03-02T02:00:00Z')

/**
 * How long one tick of the clock takes that finds 500 due instances and starts their backups, and one that finds none, with
 * 1,000, 10,000 and 100,000 instances in the embedded database. Prints medians, and how the due ones are found.
 */
async function main(): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'holdfast-bench-'))
  try {
    await using embedded = await startEmbeddedDatabase({ dataDirectory: folder })
    await migrateDatabase(embedded.url)
    await using connection = connectDatabase(embedded.url)
    const { database } = connection
    row('instances', 'tick, 500 due', 'tick, none due', 'found by')
    await seedPolicies(database)
    for (const size of sizes) {
      await database.execute(sql`truncate jobs, job_events, job_sub_tasks, recovery_points, scheduled_starts`)
      await seedInstances(database, size)
      const [busy, idle] = await measure(database)
      row(String(size), `${busy.toFixed(0)} ms`, `${idle.toFixed(1)} ms`, await planOf(database))
    }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** Medians of ticks on one day after the other: with 500 other instances due each time, and right after with none. */
async function measure(database: Database): Promise<[busy: number, idle: number]> {
  const [busy, idle]: [number[], number[]] = [[], []]
  // The first round is for warming up.
  for (let round = 0; round <= rounds; round++) {
    const now = new Date(firstDay + round * dayMs)
    await makeDue(database, now)
    busy.push(await timed(database, now, dueAtOnce))
    idle.push(await timed(database, now, 0))
    await database.execute(sql`update jobs set status = 'COMPLETED', ended_at = now() where status = 'QUEUED'`)
  }
  return [median(busy.slice(1)), median(idle.slice(1))]
}

async function timed(database: Database, now: Date, expected: number): Promise<number> {
  const startedAt = performance.now()
  const { started } = await startDueBackups(database, { now, atMost: dueAtOnce })
  if (started !== expected) throw new Error(`${started} backups were started instead of ${expected}.`)
  return performance.now() - startedAt
}

/** Ten policies with schedules, a hundred vaults and a thousand servers, of which a hundred thousand pairs can be made. */
async function seedPolicies(database: Database): Promise<void> {
  await database.execute(sql`insert into backup_policies (id, name, created_at)
    select gen_random_uuid(), 'policy ' || i, now() from generate_series(1, 10) i`)
  await database.execute(sql`insert into policy_versions
      (policy_id, version, time_zone, schedule, default_retention, retention_rules, created_at, created_by)
    select id, 1, 'UTC', '{"kind": "DAILY", "times": ["02:00"], "spreadMinutes": 60}', 'P30D', '[]', now(), 'bench'
    from backup_policies`)
  await database.execute(sql`insert into vaults (id, name, kind, location, location_key, recipient, sealed_identity, created_at)
    select gen_random_uuid(), 'vault ' || i, 'DIRECTORY', '{}', i, 'none', 'none', now() from generate_series(1, 100) i`)
  await database.execute(sql`insert into postgres_servers
      (id, name, host, port, username, sealed_password, password_set_at, maintenance_database, tls_mode, created_at)
    select gen_random_uuid(), 'server ' || i, 'localhost', 5432, 'nobody', 'none', now(), 'postgres', 'REQUIRE', now()
    from generate_series(1, 1000) i`)
}

/** Brings the number of instances up to this, each planned for a moment of its own that lies years ahead. */
async function seedInstances(database: Database, size: number): Promise<void> {
  await database.execute(sql`
    with pairs as (
      select s.id as server_id, v.id as vault_id, row_number() over (order by v.name, s.name) as place
      from postgres_servers s cross join vaults v)
    insert into backup_instances (id, name, server_id, vault_id, policy_id, policy_version, state, state_since, created_at,
      next_nominal_at, next_backup_at, overdue_at)
    select gen_random_uuid(), 'instance ' || place, server_id, vault_id,
      (select id from backup_policies where name = 'policy ' || 1 + place % 10), 1, 'PROTECTION_CONFIGURED', now(), now(),
      '2036-01-01', timestamptz '2036-01-01' + place * interval '1 second', '2036-01-02'
    from pairs where place <= ${size} on conflict do nothing`)
  await database.execute(sql`vacuum analyze backup_instances`)
}

async function makeDue(database: Database, now: Date): Promise<void> {
  await database.execute(sql`
    update backup_instances set next_nominal_at = ${now.toISOString()}, next_backup_at = ${now.toISOString()}
    where id in (select id from backup_instances order by md5(id::text || ${now.toISOString()}) limit ${dueAtOnce})`)
  await database.execute(sql`
    update backup_instances set next_backup_at = '2036-01-01' where next_backup_at < '2030-01-01' and next_backup_at <> ${now.toISOString()}`)
}

/** The name of the index by which a tick finds what is due. */
async function planOf(database: Database): Promise<string> {
  const lines = await database.execute<{ 'QUERY PLAN': string }>(sql`explain
    select id from backup_instances where next_backup_at <= ${new Date(firstDay).toISOString()}
      and state in ('PROTECTION_CONFIGURED') order by next_backup_at limit ${dueAtOnce} for no key update skip locked`)
  const text = lines.map((line) => line['QUERY PLAN']).join('\n')
  return /Index Scan using (\w+)/.exec(text)?.[1] ?? text
}

await main()
