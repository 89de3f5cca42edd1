import type { ServerAddress } from './address.ts'
import { quoteIdentifier, quoteLiteral } from './quote.ts'
import { openSession, type Session } from './session.ts'

const restoringPrefix = 'holdfast_restoring_'
const replacedPrefix = 'holdfast_replaced_'

const mark = 'Holdfast is restoring this database: it is not complete, and is dropped when the restore fails.'

/** Whether a database is one of ours that exists only while a restore runs: it has such a name and bears our mark. */
export function isTemporary({ name, comment }: { name: string; comment: string | null }): boolean {
  return name.startsWith(restoringPrefix) && isMarked(comment)
}

/** Whether a database's comment is our mark. */
export function isMarked(comment: string | null): boolean {
  return comment === mark
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

/** The token in the temporary name of a database that is being restored; undefined for any other name. */
export function restoringTokenOf(name: string): string | undefined {
  return name.startsWith(restoringPrefix) ? name.slice(restoringPrefix.length) : undefined
}

/** The token in the name of a target that was moved aside; undefined for any other name. */
export function replacedTokenOf(name: string): string | undefined {
  return name.startsWith(replacedPrefix) ? name.slice(replacedPrefix.length) : undefined
}

/** Gives a database another name; PostgreSQL refuses while anybody is connected to it. */
export async function renameDatabase({ sql }: Session, from: string, to: string): Promise<void> {
  await sql.unsafe(`alter database ${quoteIdentifier(from)} rename to ${quoteIdentifier(to)}`)
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

/** Drops a target that was moved aside, unless somebody is connected to it: who works there is never ended. Absent is fine. */
export async function dropReplaced({ sql }: Session, name: string): Promise<void> {
  if (!name.startsWith(replacedPrefix)) throw new RangeError(`"${name}" is not the name of a replaced database.`)
  await sql.unsafe(`drop database if exists ${quoteIdentifier(name)}`)
}

/**
 * After a failed or stopped restore: drops its database in a connection of its own, within 30 s. Answers whether it is gone
 * and never throws, as what failed before matters more; what is left then is found by settleRestores.
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
