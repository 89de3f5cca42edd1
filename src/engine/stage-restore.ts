import { Readable } from 'node:stream'
import type { ServerAddress } from './address.ts'
import type { ArchivePart } from './archive/archive-part.ts'
import { asEngineError, isServerError } from './classify.ts'
import { countRows, type RowFacts } from './count-rows.ts'
import { createDatabaseLike } from './create-database.ts'
import { applyGrants, applyProperties, type DatabaseProperties } from './database-properties.ts'
import { EngineError } from './engine-error.ts'
import { inspectDatabase } from './inspect-databases.ts'
import { type Filled, fillDatabase } from './loading/fill-database.ts'
import type { Filling } from './loading/filling.ts'
import { requireOwnerRole } from './owner-role.ts'
import { type Publication, systemIdentifierOf } from './publication.ts'
import { publishRestores } from './publish-restore.ts'
import { quoteIdentifier } from './quote.ts'
import { refuseForeignOwner, refuseMissingExtensions } from './restore-conditions.ts'
import { openSession, type Session } from './session.ts'
import { refuseContents } from './target-database.ts'
import { dropAfterFailure, dropTemporary, markTemporary, temporaryNames } from './temporary-database.ts'
import { watchRestore } from './watch-restore.ts'

export interface RestoreRequest extends Filling {
  /** A database that does not exist or is empty. */
  targetName: string
  /** Part of the temporary database's name: names the attempt, so that what it leaves can be found. */
  token: string
  /** Called every few seconds in which the server works for the restore, with the bytes of rows that it has taken since. */
  onLife?: ((copiedBytes: number) => void) | undefined
}

/** A database that has been restored under a temporary name; dropped when disposed of, unless it has got its own by then. */
export interface StagedDatabase extends AsyncDisposable {
  temporaryName: string
  /** What it holds, counted after the restore. */
  rows: RowFacts
  /** What pg_restore warned of. */
  warnings: string[]
  /** What could not be restored or applied, as a sentence each. */
  omitted: string[]
  /** The tables that were asked for with all that belong to them, when it was restored in part. */
  part: ArchivePart | undefined
  /** For publishing it together with others. */
  publication: Publication
  /** Gives it the target's name, if that is still absent or empty. Throws TARGET_NOT_EMPTY or TARGET_IN_USE, and changes no target. */
  publish(): Promise<void>
}

/**
 * Restores an archive completely, under a temporary name: the target is looked at and not touched. When this throws,
 * nothing of it is left on the server, unless that could not be reached any more. Throws an EngineError, the archive's own error, or the signal's reason.
 */
export async function stageRestore(address: ServerAddress, request: RestoreRequest): Promise<StagedDatabase> {
  const { archive, targetName, token, signal } = request
  const { restoring } = temporaryNames(token)
  const adminDatabase = targetName === address.maintenanceDatabase ? 'template1' : address.maintenanceDatabase
  const admin = { address, adminDatabase }
  const what = `Restoring database ${quoteIdentifier(targetName)}`
  try {
    const properties = await prepare(admin, request)
    try {
      await using _ = watchRestore(admin, restoring, request)
      const filled = await fillDatabase(address, restoring, request, what)
      const rows = await countRows(address, restoring, { signal })
      return await staged(admin, request, { properties, filled, rows })
    } catch (error) {
      throw (await dropAfterFailure(address, adminDatabase, restoring)) ? error : withLeftover(error, restoring)
    }
  } catch (error) {
    if (archive instanceof Readable) archive.destroy()
    signal.throwIfAborted()
    throw error instanceof Error && !isServerError(error) ? error : asEngineError(error, what, 'RESTORE_FAILED')
  }
}

function withLeftover(error: unknown, name: string): unknown {
  if (!(error instanceof EngineError)) return error
  const details = [error.details, `The temporary database ${quoteIdentifier(name)} could not be removed.`]
  return new EngineError(error.code, error.message, details.join('\n').trim(), { cause: error })
}

interface Admin {
  address: ServerAddress
  adminDatabase: string
}

/** Refuses what could not end well, before anything is made; then makes the empty temporary database. */
async function prepare({ address, adminDatabase }: Admin, request: RestoreRequest): Promise<DatabaseProperties> {
  const { source, targetName, token, ownership, signal } = request
  const { restoring } = temporaryNames(token)
  await using session = await openSession(address, adminDatabase, { signal })
  const target = await inspectDatabase(session, targetName)
  if (target) {
    await refuseContents(address, targetName, signal)
    await refuseForeignOwner(session, target.ownerName, `replace the empty database ${quoteIdentifier(targetName)}`)
  }
  await refuseMissingExtensions(session, source)
  if (ownership === 'KEEP') await refuseForeignOwner(session, source.ownerName, 'give the database to its owner')
  if (typeof ownership === 'object') await requireOwnerRole(session, ownership.role)
  await dropTemporary(session, restoring)
  await createDatabaseLike(session, restoring, source)
  await markTemporary(session, restoring)
  if (ownership === 'KEEP') {
    // Owners of its objects may need rights that the database gives to its owner and to them. The rest waits.
    const grants = source.acl?.filter(({ grantee }) => grantee !== null) ?? []
    await giveTo(session, restoring, source.ownerName)
    await applyGrants(session, restoring, grants)
    return source
  }
  if (typeof ownership === 'object') await giveTo(session, restoring, ownership.role)
  const owner = typeof ownership === 'object' ? { ownerName: ownership.role } : {}
  if (target) return { ...target, ...owner }
  const { comment, connectionLimit, settings } = source
  return { comment, connectionLimit, settings: settings.filter(({ role }) => role === null), ...owner }
}

async function giveTo({ sql }: Session, database: string, owner: string): Promise<void> {
  await sql.unsafe(`alter database ${quoteIdentifier(database)} owner to ${quoteIdentifier(owner)}`)
}

async function staged(
  { address, adminDatabase }: Admin,
  { targetName, token, signal }: RestoreRequest,
  { properties, filled, rows }: { properties: DatabaseProperties; filled: Filled; rows: RowFacts },
): Promise<StagedDatabase> {
  const { restoring } = temporaryNames(token)
  await using session = await openSession(address, adminDatabase, { signal })
  // Its comment still marks it as ours, and from here on, until it has its name, nobody but a superuser may connect.
  const omitted = await applyProperties(session, restoring, { ...properties, comment: null, connectionLimit: 0 })
  const [row] = await session.sql<{ oid: number }[]>`
    select oid::int8::float8 as oid from pg_database where datname = ${restoring}`
  if (!row)
    throw new EngineError('RESTORE_FAILED', `Database ${quoteIdentifier(restoring)} was dropped by someone else.`)
  const { comment, connectionLimit } = properties
  const publication = {
    targetName,
    token,
    oid: row.oid,
    systemIdentifier: await systemIdentifierOf(session),
    comment,
    connectionLimit: Math.max(-1, connectionLimit),
  }
  let isPublished = false
  return {
    ...filled,
    omitted: [...filled.omitted, ...omitted],
    rows,
    temporaryName: restoring,
    publication,
    async publish() {
      await publishRestores(address, [publication], { signal })
      isPublished = true
    },
    async [Symbol.asyncDispose]() {
      if (!isPublished) await dropAfterFailure(address, adminDatabase, restoring)
    },
  }
}
