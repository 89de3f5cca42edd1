import type { Readable } from 'node:stream'
import type { ServerAddress } from './address.ts'
import { type ArchivePart, choosePart, type WantedPart } from './archive/archive-part.ts'
import { openArchive } from './archive/open-archive.ts'
import { asEngineError } from './classify.ts'
import { countRows, type RowFacts } from './count-rows.ts'
import { createDatabaseLike } from './create-database.ts'
import { applyGrants, applyProperties, type DatabaseProperties } from './database-properties.ts'
import { EngineError } from './engine-error.ts'
import type { Toolset } from './find-tools.ts'
import { isOnlyHarmlessError, toleratesHarmlessError } from './harmless-error.ts'
import type { DatabaseReport } from './inspect.ts'
import { inspectDatabase } from './inspect-databases.ts'
import { publishRestore } from './publish-restore.ts'
import { quoteIdentifier } from './quote.ts'
import { refuseForeignOwner, refuseMissingExtensions } from './restore-conditions.ts'
import { runServerTool } from './run-tool.ts'
import { openSession } from './session.ts'
import { refuseContents } from './target-database.ts'
import { dropAfterFailure, dropTemporary, temporaryNames } from './temporary-database.ts'

export interface RestoreRequest {
  /** What dumpDatabase wrote. It is read to its end. */
  archive: Readable
  /** The database as it was when it was dumped. */
  source: DatabaseReport
  /** A database that does not exist or is empty. */
  targetName: string
  /** Part of the temporary database's name: names the attempt, so that what it leaves can be found. */
  token: string
  tools: Toolset
  /** KEEP: owners and grants as they were; NONE: everything belongs to the role that restores. */
  ownership: 'KEEP' | 'NONE'
  /** What is restored of the database alone; all of it when left out. */
  part?: WantedPart | undefined
  signal: AbortSignal
  /** Hears of every piece that pg_restore takes. */
  onBytes?: (bytes: number) => void
}

/** A database that has been restored under a temporary name; dropped when disposed of before it is published. */
export interface StagedDatabase extends AsyncDisposable {
  temporaryName: string
  /** What it holds, counted after the restore. */
  rows: RowFacts
  /** Properties that could not be applied, and what pg_restore warned of. */
  warnings: string[]
  /** The tables that were asked for with all that belong to them, when it was restored in part. */
  part: ArchivePart | undefined
  /** Gives it the target's name, if that is still absent or empty. Throws TARGET_NOT_EMPTY or TARGET_IN_USE, and changes nothing. */
  publish(): Promise<void>
}

/**
 * Restores an archive completely, under a temporary name: the target is looked at and not touched. When this throws,
 * nothing of it is left on the server, unless that could not be reached any more. Throws an EngineError, the archive's own error, or the signal's reason.
 */
export async function stageRestore(address: ServerAddress, request: RestoreRequest): Promise<StagedDatabase> {
  const { targetName, token, signal } = request
  const { restoring } = temporaryNames(token)
  const adminDatabase = targetName === address.maintenanceDatabase ? 'template1' : address.maintenanceDatabase
  const admin = { address, adminDatabase }
  try {
    const properties = await prepare(admin, request)
    try {
      const { warnings, part } = await fill(address, request, restoring)
      const rows = await countRows(address, restoring, { signal })
      await using session = await openSession(address, adminDatabase, { signal })
      warnings.push(...(await applyProperties(session, restoring, properties)))
      return staged(admin, request, { rows, warnings, part })
    } catch (error) {
      throw (await dropAfterFailure(address, adminDatabase, restoring)) ? error : withLeftover(error, restoring)
    }
  } catch (error) {
    request.archive.destroy()
    signal.throwIfAborted()
    throw error instanceof Error && error.name !== 'PostgresError'
      ? error
      : asEngineError(error, `Restoring database ${quoteIdentifier(targetName)}`, 'RESTORE_FAILED')
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
  await dropTemporary(session, restoring)
  await createDatabaseLike(session, restoring, source)
  if (ownership === 'KEEP') {
    // Owners of its objects may need rights that the database gives to its owner and to them. The rest waits.
    const grants = source.acl?.filter(({ grantee }) => grantee !== null) ?? []
    await session.sql.unsafe(
      `alter database ${quoteIdentifier(restoring)} owner to ${quoteIdentifier(source.ownerName)}`,
    )
    await applyGrants(session, restoring, grants)
    return source
  }
  if (target) return target
  const { comment, connectionLimit, settings } = source
  return { comment, connectionLimit, settings: settings.filter(({ role }) => role === null) }
}

async function fill(
  address: ServerAddress,
  request: RestoreRequest,
  database: string,
): Promise<{ warnings: string[]; part: ArchivePart | undefined }> {
  const { source, tools, ownership, signal, onBytes } = request
  const { archive, part } = await choose(request)
  const { versionNumber, missing } = await lookAtTarget(address, database, source, signal)
  const isHarmless = toleratesHarmlessError(tools, versionNumber) ? isOnlyHarmlessError : undefined
  const args = ['--no-password', '--no-subscriptions', `--dbname=${database}`]
  if (!isHarmless) args.push('--exit-on-error')
  if (ownership === 'NONE') args.push('--no-owner', '--no-acl')
  if (missing.length > 0) args.push('--no-tablespaces')
  const warnings = await runServerTool(address, database, {
    tool: 'pg_restore',
    tools,
    what: `Restoring database ${quoteIdentifier(request.targetName)}`,
    stdin: archive,
    useList: part?.useList,
    signal,
    onInput: onBytes,
    isHarmless,
    otherwise: 'RESTORE_FAILED',
    args,
  })
  const moved = missing.map((name) => `Tablespace ${quoteIdentifier(name)} does not exist: the default one is used.`)
  return { warnings: [...warnings, ...moved, ...(part?.leftOut ?? [])], part }
}

async function choose({ archive: whole, part: wanted }: RestoreRequest) {
  if (!wanted) return { archive: whole, part: undefined }
  const { toc, archive } = await openArchive(whole)
  return { archive, part: choosePart(toc, wanted) }
}

async function lookAtTarget(
  address: ServerAddress,
  database: string,
  source: DatabaseReport,
  signal: AbortSignal,
): Promise<{ versionNumber: number; missing: string[] }> {
  await using session = await openSession(address, database, { signal })
  const rows = await session.sql<{ name: string }[]>`select spcname as name from pg_tablespace`
  const present = new Set(rows.map(({ name }) => name))
  return { versionNumber: session.versionNumber, missing: source.tablespaces.filter((name) => !present.has(name)) }
}

function staged(
  { address, adminDatabase }: Admin,
  { targetName, token, signal }: RestoreRequest,
  facts: Pick<StagedDatabase, 'rows' | 'warnings' | 'part'>,
): StagedDatabase {
  const { restoring } = temporaryNames(token)
  let isPublished = false
  return {
    ...facts,
    temporaryName: restoring,
    async publish() {
      await publishRestore(address, { adminDatabase, targetName, token, signal })
      isPublished = true
    },
    async [Symbol.asyncDispose]() {
      if (!isPublished) await dropAfterFailure(address, adminDatabase, restoring)
    },
  }
}
