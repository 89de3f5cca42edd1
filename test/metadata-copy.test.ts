import { createWriteStream } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { sql } from 'drizzle-orm'
import { expect } from 'vitest'
import { recordAudit } from '../src/audit/record.ts'
import { connectDatabase, type Database } from '../src/database/connect.ts'
import { readCopy, UnreadableCopy } from '../src/database/copy/in.ts'
import { migrateTo, UnknownMigrations } from '../src/database/copy/migrate-to.ts'
import { copyOut } from '../src/database/copy/out.ts'
import { decodeFeedCursor, encodeFeedCursor, feedEpochOf, findFeedEnd, isOfThisDatabase } from '../src/database/feed.ts'
import { migrateDatabase } from '../src/database/migrate.ts'
import { recordContents } from '../src/recovery-point/contents/record.ts'
import { listedDatabase, manyTables, plainRole } from './kit/contents.ts'
import { everyRow } from './kit/every-row.ts'
import { emptyDatabase } from './kit/fresh-database.ts'
import { addLife } from './kit/lifecycle.ts'
import { findRecoveryPointsOf } from './kit/points.ts'
import { enqueue } from './kit/runner.ts'
import { test } from './kit/test.ts'

const facts = { version: '0.2.0', jobId: crypto.randomUUID(), keyFile: 'a2V5' }
const nasty = `it's a "name"\\N\\.\n\\.\n-- end\t\u{1F512}\r`

async function fill(database: Database): Promise<void> {
  const instance = await addLife(database)
  await enqueue(database, { subject: { instanceId: instance.id, instanceName: nasty } })
  const [point] = await findRecoveryPointsOf(database, instance.id)
  await recordContents(database, {
    recoveryPointId: point?.id ?? '',
    facts: { databases: [listedDatabase(nasty, manyTables(3_000))], roles: [plainRole] },
    jobId: point?.jobId ?? '',
    now: new Date(),
  })
  await recordAudit(database, {
    actor: nasty,
    action: 'createVault',
    subject: { kind: 'Vault', id: instance.vaultId, name: nasty },
    now: new Date(),
  })
}

async function copyOf(url: string, folder: string): Promise<string> {
  const path = join(folder, 'copy.sql')
  await copyOut(url, createWriteStream(path), { facts })
  return readFile(path, 'utf8')
}

/** What is in a database, apart from the numbers of its server's transactions and what marks its cursors. */
async function contentOf(database: Database): Promise<string[]> {
  return (await everyRow(database))
    .replaceAll(/"(event_)?transaction_id":"?\d+"?/g, '')
    .replaceAll(/\{[^{]*\{[^{]*"epoch":"\w+"[^}]*\}\}/g, '')
    .split('\n')
    .map((table) => [...table].sort().join(''))
    .sort()
}

test('a copy fills another database with every row, and both go on from there', async ({
  database,
  databaseUrl,
  folder,
}) => {
  await fill(database)
  const reader = await readCopy(Readable.from([Buffer.from(await copyOf(databaseUrl, folder))]))
  expect(reader.facts).toMatchObject(facts)
  await using empty = await emptyDatabase()
  await migrateTo(empty.url, reader.facts.migrations)
  const counts = await reader.fill(empty.url)
  await migrateDatabase(empty.url)
  expect(counts.get('recovery_point_tables')).toBe(3_000)
  await using other = connectDatabase(empty.url)
  expect(await contentOf(other.database)).toEqual(await contentOf(database))
  // However far the new server counts, a cursor of before stays one of another database; its own cursors are not.
  expect(await isOfThisDatabase(other.database, await findFeedEnd(database))).toBe(false)
  const own = { ...(await findFeedEnd(other.database)), epoch: await feedEpochOf(other.database) }
  expect(await isOfThisDatabase(other.database, decodeFeedCursor(encodeFeedCursor(own)) ?? own)).toBe(true)
  // Numbers that the database gives out do not come twice, and nothing that is in the copy comes after what is new.
  await enqueue(other.database)
  const [events] = await other.database.execute(
    sql`select count(*) = count(distinct id) as "areDifferent",
      (select transaction_id::text from job_events order by id limit 1) as first,
      (select transaction_id > '3'::xid8 from job_events order by id desc limit 1) as "isLastNew" from job_events`,
  )
  expect(events).toEqual({ areDifferent: true, first: '3', isLastNew: true })
})

test('a copy that is cut anywhere is refused, and leaves the tables empty', { timeout: 120_000 }, async ({
  database,
  databaseUrl,
  folder,
}) => {
  await fill(database)
  const text = await copyOf(databaseUrl, folder)
  await using empty = await emptyDatabase()
  await migrateDatabase(empty.url)
  await using other = connectDatabase(empty.url)
  const before = await everyRow(other.database)
  const cuts = [0.99999, 0.9, 0.5, 0.1].map((share) => text.slice(0, Math.floor(text.length * share)))
  for (const cut of [...cuts, text.slice(0, text.lastIndexOf('-- end'))]) {
    const reader = await readCopy(Readable.from([Buffer.from(cut)]))
    await expect(reader.fill(empty.url)).rejects.toThrow(UnreadableCopy)
  }
  expect(await everyRow(other.database)).toBe(before)
  await expect(readCopy(Readable.from([Buffer.from('select 1;\n')]))).rejects.toThrow(UnreadableCopy)
})

test('a row that does not fit is told, and nothing stays', async ({ database, databaseUrl, folder }) => {
  await fill(database)
  const text = await copyOf(databaseUrl, folder)
  await using empty = await emptyDatabase()
  await migrateDatabase(empty.url)
  // A vault that instances refer to is taken out, with its line and the count of it.
  const [, vault = ''] = /^COPY "vaults" .*\n(.*\n)/m.exec(text) ?? []
  const without = text.replace(vault, '').replace(/(COPY "vaults"[\s\S]*?\\\.\n-- )1 rows/, '$10 rows')
  const reader = await readCopy(Readable.from([Buffer.from(without)]))
  await expect(reader.fill(empty.url)).rejects.toThrow('did not take the rows')
})

test('copies of a newer version, and of another history, are refused', async ({ databaseUrl, folder }) => {
  const { facts: of } = await readCopy(Readable.from([Buffer.from(await copyOf(databaseUrl, folder))]))
  await using empty = await emptyDatabase()
  const newer = [...of.migrations, { hash: 'later', at: Date.UTC(2300, 0) }]
  await expect(migrateTo(empty.url, newer)).rejects.toThrow('newer version')
  const other = of.migrations.map((each, place) => (place === 0 ? { ...each, hash: 'other' } : each))
  await expect(migrateTo(empty.url, other)).rejects.toThrow(UnknownMigrations)
  await expect(migrateTo(empty.url, [])).rejects.toThrow(UnknownMigrations)
  await migrateTo(empty.url, of.migrations.slice(0, 1))
  await migrateDatabase(empty.url)
})

test('a copy that is broken off leaves no connection behind', async ({ database, databaseUrl, folder }) => {
  await fill(database)
  const stop = new AbortController()
  const sink = createWriteStream(join(folder, 'copy.sql'))
  const copying = copyOut(databaseUrl, sink, {
    facts,
    signal: stop.signal,
    onRows: () => stop.abort(new Error('stopped')),
  })
  await expect(copying).rejects.toThrow()
  await expect
    .poll(() =>
      database.execute(
        sql`select from pg_stat_activity where datname = current_database() and application_name = 'holdfast metadata copy'`,
      ),
    )
    .toHaveLength(0)
})
