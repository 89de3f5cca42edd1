import { fileURLToPath } from 'node:url'
import { sql } from 'drizzle-orm'
import { readMigrationFiles } from 'drizzle-orm/migrator'
import { drizzle } from 'drizzle-orm/postgres-js'
import { migrate } from 'drizzle-orm/postgres-js/migrator'
import postgres from 'postgres'
import { beginAnew, isFromAnotherServer, renewEpoch } from './begin-anew.ts'
import { refuseMarkedDatabase } from './recovery-mark.ts'

export const migrationsFolder = fileURLToPath(new URL('../../drizzle', import.meta.url))
/** Any number that no other program locks in this database. */
const lockKey = 7_305_804_385_369

/**
 * Brings the metadata database to this version's tables; nothing happens when it is there already. Of several processes
 * that start at once, one migrates while the others wait. Throws when a newer version has migrated it further, and
 * UnfinishedRecovery while a recovery into it has not ended, but for that recovery itself. Tables that were brought here
 * from another server, by pg_dump for one, begin their feeds anew.
 */
export async function migrateDatabase(url: string, { isRecovering = false } = {}): Promise<void> {
  if (!isRecovering) await refuseMarkedDatabase(url)
  // One connection that is never recycled: the lock belongs to it.
  const client = postgres(url, { max: 1, idle_timeout: 0, max_lifetime: null, onnotice: () => {} })
  try {
    const database = drizzle({ client })
    await database.execute(sql`select pg_advisory_lock(${lockKey})`)
    await refuseNewer(database)
    await migrate(database, { migrationsFolder })
    if (isRecovering) await renewEpoch(client, { isFirst: true })
    else if (await isFromAnotherServer(client)) await inTransaction(client, beginAnew)
  } finally {
    await client.end({ timeout: 5 })
  }
}

async function inTransaction(client: postgres.Sql, work: (client: postgres.Sql) => Promise<void>): Promise<void> {
  await client.unsafe('begin')
  await work(client)
  await client.unsafe('commit')
}

async function refuseNewer(database: ReturnType<typeof drizzle>): Promise<void> {
  const [known] = await database.execute(
    sql`select to_regclass('drizzle.__drizzle_migrations') is not null as is_migrated`,
  )
  if (!known?.is_migrated) return
  const [applied] = await database.execute(sql`select max(created_at) as newest from drizzle.__drizzle_migrations`)
  const newest = Math.max(...readMigrationFiles({ migrationsFolder }).map(({ folderMillis }) => folderMillis))
  if (Number(applied?.newest ?? 0) > newest) {
    throw new Error(
      'The metadata database was migrated by a newer version of Holdfast: start that version, or a later one.',
    )
  }
}
