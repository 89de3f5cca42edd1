import type { Writable } from 'node:stream'
import type { ServerAddress } from './address.ts'
import { asEngineError, isServerError } from './classify.ts'
import { countTables, type RowFacts } from './count-rows.ts'
import { describeStructure, type StructureFacts } from './describe-structure.ts'
import { EngineError } from './engine-error.ts'
import type { Toolset } from './find-tools.ts'
import { quoteIdentifier } from './quote.ts'
import { describeLocks, exportSnapshot, type Snapshot } from './read-snapshot.ts'
import { runServerTool } from './run-tool.ts'
import { openSession, type Session } from './session.ts'

/** What a dump holds, counted in its own snapshot. */
export interface DumpFacts extends RowFacts, StructureFacts {
  /** The moment whose data it holds, by the server's clock. */
  snapshotAt: Date
  /** What pg_dump warned of. */
  warnings: string[]
}

export interface DumpRequest {
  database: string
  tools: Toolset
  /** Gets pg_dump's custom format; it is ended only when the dump is whole, and destroyed otherwise. */
  sink: Writable
  signal: AbortSignal
  /** How long to wait for tables that others have locked. */
  lockWaitMs: number
  /** Hears how many rows have been counted so far. */
  onRows?: (rows: number) => void
}

/** What the storage must still do to what this pg_dump writes: nothing when it compresses with zstd itself. */
export function dumpCompression({ canCompressZstd }: Toolset): 'ZSTD' | 'NONE' {
  return canCompressZstd ? 'NONE' : 'ZSTD'
}

/**
 * Dumps one database into the sink and counts its rows in the same snapshot at the same time. Resolves only when
 * pg_dump succeeded, all its output has been taken and every table was counted; when one side fails the other is stopped
 * at once. Throws an EngineError, the sink's own error, or the signal's reason.
 */
export async function dumpDatabase(address: ServerAddress, request: DumpRequest): Promise<DumpFacts> {
  const { database, signal } = request
  try {
    await using session = await openSession(address, database, { signal })
    return await dumpWithin(session, address, request)
  } catch (error) {
    signal.throwIfAborted()
    // An error that the sink failed with is not PostgreSQL's: it goes to the sink's owner as it is.
    const failure = error instanceof Error && !isServerError(error) ? error : asEngineError(error, whatOf(database))
    throw failure instanceof EngineError ? await explain(failure, address, request) : failure
  }
}

async function dumpWithin(session: Session, address: ServerAddress, request: DumpRequest): Promise<DumpFacts> {
  const until = performance.now() + request.lockWaitMs
  const snapshot = await exportSnapshot(session, request.lockWaitMs).catch((error) => {
    const failure = asEngineError(error, whatOf(request.database))
    throw failure.code === 'QUERY_CANCELLED'
      ? new EngineError('TABLE_LOCKED', failure.message, failure.details)
      : failure
  })
  const started = Promise.withResolvers<void>()
  const either = new AbortController()
  const stopper = AbortSignal.any([either.signal, request.signal, session.lost])
  const dump = runDump(address, request, {
    snapshot,
    lockWaitMs: Math.max(1000, Math.ceil(until - performance.now())),
    signal: stopper,
    onFirstOutput: started.resolve,
  })
  // Once pg_dump writes, it has its own hold on the snapshot, and the session is needed for the counts alone.
  const counts = countTables(session, snapshot.tables, request.onRows).then(async (facts) => {
    const structure = await describeStructure(session)
    await Promise.race([started.promise, dump])
    await session.sql.unsafe('commit')
    return { ...facts, ...structure }
  })
  const [warnings, facts] = await bothOrNeither(dump, counts, (reason) => {
    either.abort(reason)
    session.interrupt()
  })
  return { ...facts, snapshotAt: snapshot.at, warnings }
}

function runDump(
  address: ServerAddress,
  { database, tools, sink }: DumpRequest,
  run: { snapshot: Snapshot; lockWaitMs: number; signal: AbortSignal; onFirstOutput: () => void },
): Promise<string[]> {
  return runServerTool(address, database, {
    tool: 'pg_dump',
    tools,
    what: whatOf(database),
    sink,
    signal: run.signal,
    onFirstOutput: run.onFirstOutput,
    args: [
      '--format=custom',
      tools.canCompressZstd ? '--compress=zstd:1' : '--compress=0',
      `--snapshot=${run.snapshot.id}`,
      `--lock-wait-timeout=${run.lockWaitMs}`,
      '--no-password',
    ],
  })
}

/** Both results, or the first failure once both have ended; `stop` is called with it. */
async function bothOrNeither<A, B>(
  left: Promise<A>,
  right: Promise<B>,
  stop: (reason: unknown) => void,
): Promise<[A, B]> {
  try {
    return await Promise.all([left, right])
  } catch (error) {
    stop(error)
    await Promise.allSettled([left, right])
    throw error
  }
}

/** Adds what can be learnt only afterwards: who holds the lock, whether the database is still there. */
async function explain(failure: EngineError, address: ServerAddress, request: DumpRequest): Promise<EngineError> {
  const { database, lockWaitMs } = request
  if (failure.code === 'TABLE_LOCKED') {
    const holders = await ask(address, database, describeLocks)
    const table = /LOCK TABLE (.+?) IN ACCESS SHARE MODE/s.exec(failure.details)?.[1]
    const blame = holders || (table ? `It waited for ${table.slice(0, 200)}.` : failure.message)
    const message = `Database ${quoteIdentifier(database)} could not be read within ${lockWaitMs} ms. ${blame}`
    return new EngineError('TABLE_LOCKED', message, failure.details)
  }
  if (failure.code !== 'CONNECTION_LOST') return failure
  if (!(await isMissing(address, database))) return failure
  const message = `Database ${quoteIdentifier(database)} was dropped while it was being backed up.`
  return new EngineError('DATABASE_MISSING', message, failure.details)
}

// Connecting waits for a DROP DATABASE that is just ending sessions, where a look at the catalogue would come too early.
async function isMissing(address: ServerAddress, database: string): Promise<boolean> {
  try {
    await using _ = await openSession(address, database, { signal: AbortSignal.timeout(5000) })
    return false
  } catch (error) {
    return error instanceof EngineError && error.code === 'DATABASE_MISSING'
  }
}

async function ask<T>(
  address: ServerAddress,
  database: string,
  question: (session: Session) => Promise<T>,
): Promise<T | undefined> {
  try {
    await using session = await openSession(address, database, { signal: AbortSignal.timeout(5000) })
    return await question(session)
  } catch {
    return undefined
  }
}

function whatOf(database: string): string {
  return `Dumping database ${quoteIdentifier(database)}`
}
