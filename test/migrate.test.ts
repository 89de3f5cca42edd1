import { sql } from 'drizzle-orm'
import { expect } from 'vitest'
import { connectDatabase } from '../src/database/connect.ts'
import { feedEpochOf } from '../src/database/feed.ts'
import { migrateDatabase } from '../src/database/migrate.ts'
import { readJobEvents } from '../src/job/events.ts'
import { emptyDatabase } from './kit/fresh-database.ts'
import { enqueue, rememberingLog } from './kit/runner.ts'
import { test } from './kit/test.ts'
import { waitFor } from './kit/wait-for.ts'

test('three processes that migrate one empty database at once all succeed', async () => {
  await using empty = await emptyDatabase()
  await Promise.all([1, 2, 3].map(() => migrateDatabase(empty.url)))
  await using connection = connectDatabase(empty.url)
  const [counted] = await connection.database.execute(
    sql`select count(*)::int as applied, count(distinct hash)::int as different from drizzle.__drizzle_migrations`,
  )
  expect(counted?.applied).toBeGreaterThan(0)
  expect(counted?.applied).toBe(counted?.different)
})

test('migrating a migrated database changes nothing', async ({ databaseUrl, database }) => {
  const applied = () => database.execute(sql`select * from drizzle.__drizzle_migrations order by id`)
  const before = await applied()
  await migrateDatabase(databaseUrl)
  expect(await applied()).toEqual(before)
})

test('a migration says whom it waits for, and goes on when that has ended', async ({ databaseUrl }) => {
  const log = rememberingLog()
  await using holder = connectDatabase(databaseUrl, { maxConnections: 1 })
  const { promise: released, resolve: release } = Promise.withResolvers<void>()
  const { promise: held, resolve: hold } = Promise.withResolvers<void>()
  const holding = holder.database.transaction(async (tx) => {
    await tx.execute(sql`set local idle_in_transaction_session_timeout = 0`)
    await tx.execute(sql`select pg_advisory_xact_lock(7305804385369)`)
    hold()
    await released
  })
  await held
  const migrating = migrateDatabase(databaseUrl, { log, patienceMs: 100 })
  await waitFor('it says so', () => log.said.some((line) => line.includes('"application_name":"holdfast"')))
  release()
  await holding
  await migrating
})

test('a database that a newer version has migrated is refused', async ({ databaseUrl, database }) => {
  await database.execute(
    sql`insert into drizzle.__drizzle_migrations (hash, created_at) values ('later', ${Date.UTC(2300, 0)})`,
  )
  await expect(migrateDatabase(databaseUrl)).rejects.toThrow('newer version of Holdfast')
})

test('tables that were brought from another server begin their feeds anew', async ({ databaseUrl, database }) => {
  const { id } = await enqueue(database)
  await database.execute(sql`update job_events set transaction_id = '4611686018427387904'`)
  expect(await readJobEvents(database, { limit: 10 })).toMatchObject({ events: [], isHeldUp: true })
  await migrateDatabase(databaseUrl)
  expect(await readJobEvents(database, { limit: 10 })).toMatchObject({ events: [{ jobId: id }], isHeldUp: false })
  expect(await feedEpochOf(database)).toMatch(/^[0-9a-f]{8}$/)
})
