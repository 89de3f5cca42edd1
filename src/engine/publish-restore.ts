import { setTimeout as delay } from 'node:timers/promises'
import type { ServerAddress } from './address.ts'
import { asEngineError } from './classify.ts'
import { EngineError } from './engine-error.ts'
import { adminDatabaseFor, type Publication } from './publication.ts'
import { quoteIdentifier, quoteLiteral } from './quote.ts'
import { openSession, type Session } from './session.ts'
import { type Settled, settleRestores } from './settle-restores.ts'
import { findContents, refuseContents } from './target-database.ts'
import { dropReplaced, renameDatabase, temporaryNames } from './temporary-database.ts'
import { untilDone } from './until-done.ts'

/** A database that had the name of a restored one, and is still there under another. */
export interface FormerTarget {
  name: string
  /** What somebody has put into it meanwhile; empty: nothing that is known, but it could not be dropped. */
  holds: string[]
}

/** Renaming takes a moment: whoever cancels then is too late, so that it is never unknown whether it was done. */
const renamingMs = 60_000
/** For so long a database that somebody is connected to is tried again: a monitor looks into each now and then. */
const patienceMs = 30_000
const pauseMs = 250
const droppingMs = 30_000

/**
 * Gives restored databases the names of their targets: all of them at one moment, or none. An existing target is looked
 * at, moved aside, where nobody can write to it any more, looked at again, and dropped only when it is empty; otherwise it
 * gets its name back. Throws TARGET_NOT_EMPTY or TARGET_IN_USE when every target is as it was; the restored databases are
 * dropped then. A server that goes away is waited for, a minute; one that stays away leaves open what it did, and the error
 * says so. Answers the former targets that stay: those that hold something by now, and those that could not be dropped.
 */
export async function publishRestores(
  address: ServerAddress,
  publications: readonly Publication[],
  { signal }: { signal: AbortSignal },
): Promise<FormerTarget[]> {
  const aside = new Set<Publication>()
  const until = performance.now() + patienceMs
  try {
    await whileInUse(() => moveAside(address, publications, aside, signal), { until, signal })
    await whileInUse(() => rename(address, publications), { until, signal })
  } catch (error) {
    // The answer to a commit can be lost on its way: what counts is what the server did.
    const { isPublished, kept } = await settle(address, publications, error)
    if (!isPublished) {
      signal.throwIfAborted()
      throw refusalFrom(error, publications, kept)
    }
  }
  const left = [...aside].map(({ token }) =>
    dropFormer(address, adminDatabaseOf(address, publications), temporaryNames(token).replaced),
  )
  return (await Promise.all(left)).flat()
}

/** Looks once more before it drops: renaming may have been waited for, and nobody is kept out of it. Never throws. */
async function dropFormer(address: ServerAddress, adminDatabase: string, name: string): Promise<FormerTarget[]> {
  const signal = AbortSignal.timeout(droppingMs)
  try {
    await using session = await openSession(address, adminDatabase, { signal })
    const [present] = await session.sql`select from pg_database where datname = ${name}`
    if (!present) return []
    const holds = await findContents(address, name, signal)
    if (holds.length > 0) return [{ name, holds }]
    await dropReplaced(session, name)
    return []
  } catch {
    return [{ name, holds: [] }]
  }
}

function adminDatabaseOf(address: ServerAddress, publications: readonly Publication[]): string {
  return adminDatabaseFor(
    address,
    publications.map(({ targetName }) => targetName),
  )
}

async function whileInUse(
  work: () => Promise<void>,
  { until, signal }: { until: number; signal: AbortSignal },
): Promise<void> {
  for (;;) {
    signal.throwIfAborted()
    try {
      return await work()
    } catch (error) {
      if (asEngineError(error, '').code !== 'TARGET_IN_USE' || performance.now() > until) throw error
    }
    await delay(pauseMs, undefined, { signal })
  }
}

async function moveAside(
  address: ServerAddress,
  publications: readonly Publication[],
  aside: Set<Publication>,
  signal: AbortSignal,
): Promise<void> {
  await using session = await openSession(address, adminDatabaseOf(address, publications), { signal })
  for (const publication of publications) {
    const { targetName, token } = publication
    const [target] = await session.sql`select from pg_database where datname = ${targetName}`
    if (!target) continue
    // What holds something is not moved at all; what somebody fills just before it is moved gets its name back.
    await refuseContents(address, targetName, signal)
    aside.add(publication)
    const { replaced } = temporaryNames(token)
    await renameUnused(session, { from: targetName, to: replaced, is: 'Target database' })
    await refuseContents(address, replaced, signal)
  }
}

/** PostgreSQL renames databases in a transaction like anything else: all of them appear when it commits. */
async function rename(address: ServerAddress, publications: readonly Publication[]): Promise<void> {
  const signal = AbortSignal.timeout(renamingMs)
  await using session = await openSession(address, adminDatabaseOf(address, publications), { signal })
  for (const { token } of publications) await close(session, temporaryNames(token).restoring)
  await session.sql.unsafe('begin')
  // Whoever takes up what this process left waits for the transaction: a process that sleeps must not keep it open.
  await session.sql.unsafe(`set local idle_in_transaction_session_timeout = '10s'`)
  await renameWithin(session, publications)
  await session.sql.unsafe('commit')
}

/** Lets nobody into a restored database until it has its name, and ends who is there: it could not get it otherwise. */
async function close({ sql }: Session, name: string): Promise<void> {
  await sql.unsafe(`alter database ${quoteIdentifier(name)} allow_connections false`)
  const users = await sql<{ pid: number }[]>`select pid from pg_stat_activity where datname = ${name}`
  for (const { pid } of users) {
    // Not everybody may end the session of a superuser: the renaming tells of those that stay.
    await sql`select pg_terminate_backend(${pid})`.catch(() => {})
  }
}

async function renameWithin(session: Session, publications: readonly Publication[]): Promise<void> {
  for (const { targetName, token, comment, connectionLimit } of publications) {
    const target = quoteIdentifier(targetName)
    await renameUnused(session, { from: temporaryNames(token).restoring, to: targetName, is: 'The restored database' })
    await session.sql.unsafe(`comment on database ${target} is ${comment === null ? 'null' : quoteLiteral(comment)}`)
    await session.sql.unsafe(
      `alter database ${target} with allow_connections true connection limit ${Math.trunc(connectionLimit)}`,
    )
  }
}

async function renameUnused(
  session: Session,
  { from, to, is }: { from: string; to: string; is: string },
): Promise<void> {
  try {
    await renameDatabase(session, from, to)
  } catch (error) {
    const failure = asEngineError(error, `Renaming database ${quoteIdentifier(from)}`)
    if (failure.code !== 'TARGET_IN_USE') throw error
    const message = `${is} ${quoteIdentifier(from)} is in use: it cannot be renamed while someone is connected to it.`
    throw new EngineError('TARGET_IN_USE', message, failure.details, { cause: error })
  }
}

/** What the server did, once it can be asked: the names are there, or nothing of it is left and targets have theirs back. */
async function settle(address: ServerAddress, publications: readonly Publication[], error: unknown): Promise<Settled> {
  const targets = new Map(publications.map(({ token, targetName }) => [token, targetName]))
  const own = {
    isOwn: (token: string) => targets.has(token),
    targetOf: (token: string) => targets.get(token),
    targetNames: [...targets.values()],
    publications,
  }
  const signal = AbortSignal.timeout(renamingMs)
  try {
    return await untilDone(() => settleRestores(address, own, { signal }), signal)
  } catch (cause) {
    throw unsettled(error, cause, publications)
  }
}

function unsettled(error: unknown, cause: unknown, publications: readonly Publication[]): EngineError {
  const failure = failureFrom(error, publications)
  const names = publications.map(
    ({ targetName, token }) =>
      `${quoteIdentifier(targetName)} (restored as ${quoteIdentifier(temporaryNames(token).restoring)}; if it is missing, what was there is ${quoteIdentifier(temporaryNames(token).replaced)})`,
  )
  const message = `${failure.message} The server could not be asked any more what became of ${names.join(', ')}.`
  const details = [failure.details, asEngineError(cause, 'Asking it').message].join('\n').trim()
  return new EngineError(failure.code, message, details, { cause: error })
}

function failureFrom(error: unknown, publications: readonly Publication[]): EngineError {
  const names = publications.map(({ targetName }) => quoteIdentifier(targetName)).join(', ')
  return asEngineError(error, `Giving the restored databases their names ${names}`)
}

function refusalFrom(error: unknown, publications: readonly Publication[], kept: readonly string[]): EngineError {
  const failure = failureFrom(error, publications)
  if (kept.length === 0) return failure
  const message = `${failure.message} ${kept.map(quoteIdentifier).join(', ')} is not empty and could not get its name back.`
  return new EngineError(failure.code, message, failure.details, { cause: error })
}
