import type { ServerAddress } from './address.ts'
import { asEngineError } from './classify.ts'
import { quoteIdentifier, quoteLiteral } from './quote.ts'
import { openSession, type Session } from './session.ts'
import { findContents } from './target-database.ts'

const restoringPrefix = 'holdfast_restoring_'
const replacedPrefix = 'holdfast_replaced_'

const mark = 'Holdfast is restoring this database: it is not complete, and is dropped when the restore fails.'

/** Whether a database is one of ours that exists only while a restore runs: it has such a name and bears our mark. */
export function isTemporary({ name, comment }: { name: string; comment: string | null }): boolean {
  return name.startsWith(restoringPrefix) && comment === mark
}

/** Marks a database as one that exists only while a restore runs, so that no backup takes it. */
export async function markTemporary({ sql }: Session, name: string): Promise<void> {
  await sql.unsafe(`comment on database ${quoteIdentifier(name)} is ${quoteLiteral(mark)}`)
}

/** The two names that a restore uses besides its target's. The token is made of a-z, 0-9 and "_", at most 44 characters. */
export function temporaryNames(token: string): { restoring: string; replaced: string } {
  if (!/^[a-z0-9_]{1,44}$/.test(token))
    throw new RangeError(`"${token}" cannot be part of a temporary database's name.`)
  return { restoring: `${restoringPrefix}${token}`, replaced: `${replacedPrefix}${token}` }
}

/** Drops a database that holds nothing of anybody's but ours, ending whoever is connected to it. Absent is fine. */
export async function dropTemporary(session: Session, name: string): Promise<void> {
  if (!name.startsWith(restoringPrefix) && !name.startsWith(replacedPrefix))
    throw new RangeError(`"${name}" is not the name of a temporary database.`)
  if (session.versionNumber >= 130_000) {
    await session.sql.unsafe(`drop database if exists ${quoteIdentifier(name)} with (force)`)
    return
  }
  await session.sql.unsafe(
    `select pg_terminate_backend(pid) from pg_stat_activity where datname = ${quoteLiteral(name)}`,
  )
  await session.sql.unsafe(`drop database if exists ${quoteIdentifier(name)}`)
}

/**
 * Removes what restores that never came to their end have left on a server: all temporary databases whose token starts
 * with `tokenPrefix`. The caller makes sure that none of them runs any more. What holds something and does not bear our
 * mark, as a former target that turned out not to be empty, is kept, and named.
 */
export async function dropLeftoverDatabases(
  address: ServerAddress,
  { tokenPrefix, signal }: { tokenPrefix: string; signal?: AbortSignal },
): Promise<{ dropped: string[]; kept: string[] }> {
  const names = temporaryNames(tokenPrefix)
  await using session = await openSession(address, address.maintenanceDatabase, { signal })
  try {
    const found = await session.sql<{ name: string; comment: string | null }[]>`
      select datname as name, shobj_description(oid, 'pg_database') as comment from pg_database order by datname`
    const left = { dropped: [] as string[], kept: [] as string[] }
    for (const { name, comment } of found) {
      if (!name.startsWith(names.restoring) && !name.startsWith(names.replaced)) continue
      if (!isTemporary({ name, comment }) && (await findContents(address, name, signal)).length > 0) {
        left.kept.push(name)
        continue
      }
      await dropTemporary(session, name)
      left.dropped.push(name)
    }
    return left
  } catch (error) {
    signal?.throwIfAborted()
    throw asEngineError(error, 'Removing what an earlier restore left')
  }
}

/**
 * After a failed or stopped restore: drops its database in a connection of its own, within 30 s. Answers whether it is gone
 * and never throws, as what failed before matters more; what is left then is found by dropLeftoverDatabases.
 */
export async function dropAfterFailure(address: ServerAddress, adminDatabase: string, name: string): Promise<boolean> {
  try {
    await using session = await openSession(address, adminDatabase, { signal: AbortSignal.timeout(30_000) })
    await dropTemporary(session, name)
    return true
  } catch {
    return false
  }
}
