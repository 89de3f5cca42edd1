import { fileURLToPath } from 'node:url'
import { sql } from 'drizzle-orm'
import { readMigrationFiles } from 'drizzle-orm/migrator'
import { drizzle } from 'drizzle-orm/postgres-js'
import { migrate } from 'drizzle-orm/postgres-js/migrator'
import type { Logger } from 'pino'
import postgres from 'postgres'
import { beginAnew, isFromAnotherServer, renewEpoch } from './begin-anew.ts'
import { refuseMarkedDatabase } from './recovery-mark.ts'

export const migrationsFolder = fileURLToPath(new URL('../../drizzle', import.meta.url))
/** Any number that no other program locks in this database. */
const lockKey = 7_305_804_385_369

/** A newer version has brought the metadata database to tables that this one does not know. */
export class MigratedByNewer extends Error {}

export interface MigrateOptions {
  isRecovering?: boolean
  /** Is told whom this waits for. */
  log?: Pick<Logger, 'warn'>
  /** How often it is told, ms; every 10 s when left out. */
  patienceMs?: number
}

/**
 * Brings the metadata database to this version's tables; nothing happens when it is there already. Of several processes
 * that start at once, one migrates while the others wait. Throws MigratedByNewer when a newer version has migrated it further, and
 * UnfinishedRecovery while a recovery into it has not ended, but for that recovery itself. Tables that were brought here
 * from another server, by pg_dump for one, begin their feeds anew.
 */
export async function migrateDatabase(
  url: string,
  { isRecovering = false, log, patienceMs = 10_000 }: MigrateOptions = {},
): Promise<void> {
  if (!isRecovering) await refuseMarkedDatabase(url)
  // One connection that is never recycled: the lock belongs to it.
  const client = postgres(url, { max: 1, idle_timeout: 0, max_lifetime: null, onnotice: () => {} })
  try {
    const database = drizzle({ client })
    await takeLock(client, { log, patienceMs })
    await refuseNewer(database)
    await migrate(database, { migrationsFolder })
    if (isRecovering) await renewEpoch(client, { isFirst: true })
    else if (await isFromAnotherServer(client)) await inTransaction(client, beginAnew)
  } finally {
    await client.end({ timeout: 5 })
  }
}

/** Waits for as long as another process has the lock, and tells who that is. */
async function takeLock(
  client: postgres.Sql,
  { log, patienceMs }: Required<Pick<MigrateOptions, 'patienceMs'>> & { log: MigrateOptions['log'] },
): Promise<void> {
  await client.unsafe(`set lock_timeout = ${Math.trunc(patienceMs)}`)
  for (;;) {
    try {
      await client`select pg_advisory_lock(${lockKey})`
      break
    } catch (cause) {
      if (!(cause instanceof postgres.PostgresError) || cause.code !== '55P03') throw cause
      const holders = await client`
        select a.pid, a.application_name, a.client_addr::text, a.backend_start::text
        from pg_locks l join pg_stat_activity a on a.pid = l.pid
        where l.locktype = 'advisory' and l.granted and l.database = (select oid from pg_database where datname = current_database())
          and (l.classid::bigint << 32 | l.objid::bigint) = ${lockKey}`
      log?.warn({ holders }, 'the start waits for another process that migrates the metadata database, or hangs at it')
    }
  }
  await client.unsafe('reset lock_timeout')
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
    throw new MigratedByNewer(
      'The metadata database was migrated by a newer version of Holdfast: start that version, or a later one.',
    )
  }
}
