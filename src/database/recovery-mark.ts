import { access, open, rm } from 'node:fs/promises'
import { join } from 'node:path'
import postgres from 'postgres'
import { quote } from './copy/format.ts'

/** A recovery was begun and has not ended: what is there is not a whole service. The message says what to do. */
export class UnfinishedRecovery extends Error {}

/** The file that marks a data directory. */
export const markName = 'recovery-unfinished'
const markSchema = 'holdfast_recovery_unfinished'

/** Marks a data directory, or with `false` takes the mark away. The mark outlives a loss of power. */
export async function markDirectory(dataDirectory: string, isMarked: boolean): Promise<void> {
  const path = join(dataDirectory, markName)
  if (!isMarked) return rm(path, { force: true })
  await using file = await open(path, 'w', 0o600)
  await file.writeFile('A recovery began here and has not ended. Run it again.\n')
  await file.sync()
  await using folder = await open(dataDirectory)
  await folder.sync()
}

/** Whether a recovery into a data directory was begun and has not ended. */
export async function isDirectoryMarked(dataDirectory: string): Promise<boolean> {
  return access(join(dataDirectory, markName)).then(
    () => true,
    () => false,
  )
}

/** Throws UnfinishedRecovery for a directory in which a recovery was begun and has not ended. */
export async function refuseMarkedDirectory(dataDirectory: string): Promise<void> {
  if (!(await isDirectoryMarked(dataDirectory))) return
  throw new UnfinishedRecovery(
    `A recovery into ${dataDirectory} was begun and has not ended: run it again, with the same arguments.`,
  )
}

/** The same for a metadata database. */
export async function refuseMarkedDatabase(url: string): Promise<void> {
  const isMarked = await withClient(url, isDatabaseMarked)
  if (isMarked) {
    throw new UnfinishedRecovery(
      'A recovery into the metadata database was begun and has not ended: run it again, with the same arguments.',
    )
  }
}

/**
 * Makes sure that a database is empty, and marks it. What a recovery that was broken off has left in one that is marked is
 * removed. Answers false, and changes nothing, when it holds anything else.
 */
export async function markDatabase(url: string): Promise<boolean> {
  return withClient(url, async (sql) => {
    if (await isDatabaseMarked(sql)) await emptyDatabase(sql)
    else if (!(await isDatabaseEmpty(sql))) return false
    await sql.unsafe(`create schema if not exists ${quote(markSchema)}`)
    return true
  })
}

/** Takes the mark away: the database is a whole service's. With `isFailed` all that was put there goes first. */
export async function unmarkDatabase(url: string, { isFailed }: { isFailed: boolean }): Promise<void> {
  await withClient(url, async (sql) => {
    if (isFailed) await emptyDatabase(sql)
    await sql.unsafe(`drop schema if exists ${quote(markSchema)}`)
  })
}

async function isDatabaseMarked(sql: postgres.Sql): Promise<boolean> {
  return (await sql`select from pg_namespace where nspname = ${markSchema}`).length > 0
}

async function isDatabaseEmpty(sql: postgres.Sql): Promise<boolean> {
  const things = await sql`
    select from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'p', 'v', 'm', 'f', 'S', 'c')
      and not ${isOfExtension(sql, 'pg_class')}
    union all select from pg_proc where pronamespace = 'public'::regnamespace and not ${isOfExtension(sql, 'pg_proc')}
    union all select from pg_type where typnamespace = 'public'::regnamespace and typtype in ('e', 'd', 'r')
      and not ${isOfExtension(sql, 'pg_type')}
    union all select from pg_namespace where nspname = 'drizzle' limit 1`
  return things.length === 0
}

/** Everything in it is ours, but for what extensions have there: it was empty when it was marked. */
async function emptyDatabase(sql: postgres.Sql): Promise<void> {
  const things = await sql<{ statement: string }[]>`
    select format('drop table if exists public.%I cascade', relname) as statement
      from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r' and not ${isOfExtension(sql, 'pg_class')}
    union all select format('drop routine if exists %s cascade', pg_proc.oid::regprocedure)
      from pg_proc where pronamespace = 'public'::regnamespace and not ${isOfExtension(sql, 'pg_proc')}
    union all select format('drop type if exists public.%I cascade', typname)
      from pg_type where typnamespace = 'public'::regnamespace and typtype = 'e' and not ${isOfExtension(sql, 'pg_type')}
    union all select 'drop schema if exists drizzle cascade'`
  for (const { statement } of things) await sql.unsafe(statement)
}

function isOfExtension(sql: postgres.Sql, catalogue: 'pg_class' | 'pg_proc' | 'pg_type') {
  return sql`exists (select from pg_depend where classid = ${catalogue}::text::regclass
    and objid = ${sql(catalogue)}.oid and deptype = 'e')`
}

async function withClient<Result>(url: string, work: (sql: postgres.Sql) => Promise<Result>): Promise<Result> {
  const sql = postgres(url, { max: 1, onnotice: () => {} })
  try {
    return await work(sql)
  } finally {
    await sql.end({ timeout: 5 })
  }
}
