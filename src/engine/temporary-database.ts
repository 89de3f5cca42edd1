import type { ServerAddress } from './address.ts'
import { asEngineError } from './classify.ts'
import { quoteIdentifier, quoteLiteral } from './quote.ts'
import { openSession, type Session } from './session.ts'
import { findContents } from './target-database.ts'

const restoringPrefix = 'holdfast_restoring_'
const replacedPrefix = 'holdfast_replaced_'

/** Whether a database is one of ours that exists only while a restore runs. */
export function isTemporaryName(name: string): boolean {
  return name.startsWith(restoringPrefix) || name.startsWith(replacedPrefix)
}

/** The two names that a restore uses besides its target's. The token is made of a-z, 0-9 and "_", at most 44 characters. */
export function temporaryNames(token: string): { restoring: string; replaced: string } {
  if (!/^[a-z0-9_]{1,44}$/.test(token))
    throw new RangeError(`"${token}" cannot be part of a temporary database's name.`)
  return { restoring: `${restoringPrefix}${token}`, replaced: `${replacedPrefix}${token}` }
}

/** Drops a database that holds nothing of anybody's but ours, ending whoever is connected to it. Absent is fine. */
export async function dropTemporary(session: Session, name: string): Promise<void> {
  if (!isTemporaryName(name)) throw new RangeError(`"${name}" is not the name of a temporary database.`)
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
 * with `tokenPrefix`. The caller makes sure that none of them runs any more. A former target that turned out to hold
 * something is kept, and named.
 */
export async function dropLeftoverDatabases(
  address: ServerAddress,
  { tokenPrefix, signal }: { tokenPrefix: string; signal?: AbortSignal },
): Promise<{ dropped: string[]; kept: string[] }> {
  const names = temporaryNames(tokenPrefix)
  await using session = await openSession(address, address.maintenanceDatabase, { signal })
  try {
    const found = await session.sql<{ name: string }[]>`select datname as name from pg_database order by datname`
    const left = { dropped: [] as string[], kept: [] as string[] }
    for (const { name } of found) {
      if (!name.startsWith(names.restoring) && !name.startsWith(names.replaced)) continue
      if (name.startsWith(replacedPrefix) && (await findContents(address, name, signal)).length > 0) {
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
