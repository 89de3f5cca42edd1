import type { ServerAddress } from './address.ts'
import { asEngineError } from './classify.ts'
import { EngineError } from './engine-error.ts'
import { quoteIdentifier, quoteLiteral } from './quote.ts'
import { openSession, type Session } from './session.ts'
import { refuseContents } from './target-database.ts'
import { dropAfterFailure, temporaryNames } from './temporary-database.ts'

/** A restored database that waits under its temporary name; it can be written down, and looked for by another process. */
export interface Publication {
  targetName: string
  token: string
  /** The server's own number of the database: it stays when the name changes. */
  oid: number
  /** What it gets together with its name. */
  comment: string | null
  connectionLimit: number
}

/** Renaming takes a moment: whoever cancels then is too late, so that it is never unknown whether it was done. */
const renamingMs = 60_000

/**
 * Gives restored databases the names of their targets: all of them at one moment, or none. An existing target is looked
 * at, moved aside, where nobody can write to it any more, looked at again, and dropped only when it is empty; otherwise it
 * gets its name back. Throws TARGET_NOT_EMPTY or TARGET_IN_USE and leaves every target as it was. Answers the names of
 * former targets, empty ones, that could not be dropped.
 */
export async function publishRestores(
  address: ServerAddress,
  publications: readonly Publication[],
  { signal }: { signal: AbortSignal },
): Promise<string[]> {
  const aside: Publication[] = []
  try {
    await moveAside(address, publications, aside, signal)
    signal.throwIfAborted()
    await rename(address, publications, AbortSignal.timeout(renamingMs))
  } catch (error) {
    const since = AbortSignal.timeout(renamingMs)
    // The answer to a commit can be lost on its way: what counts is what the server did.
    const { isPublished } = await findPublished(address, publications, { signal: since })
    if (!isPublished) {
      await giveBackTargets(address, aside)
      signal.throwIfAborted()
      throw refusalFrom(error, publications)
    }
  }
  const left: string[] = []
  for (const { token } of aside) {
    const { replaced } = temporaryNames(token)
    if (!(await dropAfterFailure(address, adminDatabaseFor(address, publications), replaced))) left.push(replaced)
  }
  return left
}

/** The database to give orders from: one that is not renamed. */
function adminDatabaseFor({ maintenanceDatabase }: ServerAddress, publications: readonly Publication[]): string {
  return publications.some(({ targetName }) => targetName === maintenanceDatabase) ? 'template1' : maintenanceDatabase
}

async function moveAside(
  address: ServerAddress,
  publications: readonly Publication[],
  aside: Publication[],
  signal: AbortSignal,
): Promise<void> {
  await using session = await openSession(address, adminDatabaseFor(address, publications), { signal })
  for (const publication of publications) {
    const { targetName, token } = publication
    const [target] = await session.sql`select from pg_database where datname = ${targetName}`
    if (!target) continue
    // What holds something is not moved at all; what somebody fills just before it is moved gets its name back.
    await refuseContents(address, targetName, signal)
    aside.push(publication)
    const { replaced } = temporaryNames(token)
    await session.sql.unsafe(renaming(targetName, replaced))
    await refuseContents(address, replaced, signal)
  }
}

/** PostgreSQL renames databases in a transaction like anything else: all of them appear when it commits. */
async function rename(
  address: ServerAddress,
  publications: readonly Publication[],
  signal: AbortSignal,
): Promise<void> {
  await using session = await openSession(address, adminDatabaseFor(address, publications), { signal })
  await session.sql.unsafe('begin')
  await renameWithin(session, publications)
  await session.sql.unsafe('commit')
}

async function renameWithin({ sql }: Session, publications: readonly Publication[]): Promise<void> {
  for (const { targetName, token, comment, connectionLimit } of publications) {
    const target = quoteIdentifier(targetName)
    await sql.unsafe(renaming(temporaryNames(token).restoring, targetName))
    await sql.unsafe(`comment on database ${target} is ${comment === null ? 'null' : quoteLiteral(comment)}`)
    await sql.unsafe(`alter database ${target} connection limit ${Math.trunc(connectionLimit)}`)
  }
}

function renaming(from: string, to: string): string {
  return `alter database ${quoteIdentifier(from)} rename to ${quoteIdentifier(to)}`
}

function refusalFrom(error: unknown, publications: readonly Publication[]): EngineError {
  const names = publications.map(({ targetName }) => quoteIdentifier(targetName)).join(', ')
  const failure = asEngineError(error, `Giving the restored databases their names ${names}`)
  if (failure.code !== 'TARGET_IN_USE' || error instanceof EngineError) return failure
  const message = `A target database is empty but in use, someone is connected to it: ${names}.`
  return new EngineError('TARGET_IN_USE', message, failure.details, { cause: error })
}

/**
 * Gives targets that were moved aside their names back, unless something has the name now. It takes a connection of its
 * own, as the one of the caller may have gone with whatever failed, or with the abort.
 */
export async function giveBackTargets(
  address: ServerAddress,
  publications: readonly Pick<Publication, 'targetName' | 'token'>[],
): Promise<void> {
  if (publications.length === 0) return
  const signal = AbortSignal.timeout(renamingMs)
  await using session = await openSession(address, 'template1', { signal })
  const rows = await session.sql<{ name: string }[]>`select datname as name from pg_database`
  const names = new Set(rows.map(({ name }) => name))
  for (const { targetName, token } of publications) {
    const { replaced } = temporaryNames(token)
    if (names.has(replaced) && !names.has(targetName)) await session.sql.unsafe(renaming(replaced, targetName))
  }
}

/**
 * Whether databases that an earlier process meant to publish have got their names, and which of those are no longer
 * there. They get them at one moment, so that one of them tells of all.
 */
export async function findPublished(
  address: ServerAddress,
  publications: readonly Publication[],
  { signal }: { signal: AbortSignal },
): Promise<{ isPublished: boolean; gone: string[] }> {
  await using session = await openSession(address, adminDatabaseFor(address, publications), { signal })
  try {
    const rows = await session.sql<{ oid: number; name: string }[]>`
      select oid::int8::float8 as oid, datname as name from pg_database`
    const names = new Map(rows.map(({ oid, name }) => [oid, name]))
    const isPublished = publications.some(({ oid, token }) => {
      const name = names.get(oid)
      return name !== undefined && name !== temporaryNames(token).restoring
    })
    const gone = publications.filter(({ oid }) => !names.has(oid)).map(({ targetName }) => targetName)
    return { isPublished, gone }
  } catch (error) {
    signal.throwIfAborted()
    throw asEngineError(error, 'Looking for what an earlier attempt restored')
  }
}
