import { EngineError, type EngineErrorCode } from '../../engine/engine-error.ts'
import { ownWords } from '../../engine/own-words.ts'
import type { FailureCode } from '../../failure.ts'
import { WorkFailed } from '../failure.ts'
import type { CopyRequest } from './check-copy.ts'
import type { ScratchServer } from './scratch-server.ts'

/** What pg_restore says when it is the scratch server, or the role that restores there, that cannot take the data. */
const ofTheScratchServer =
  /superuser|permission denied|must be (owner|member)|must have|could not (access|load|open|create|write|extend|connect|find)|shared_preload_libraries|library|not supported by this build|unrecognized configuration parameter|collation|locale|tablespace|wal_level|No space left|out of memory/i

/** What an error of a server that an operator runs is, where the server is our own. */
const ofTheScratch: ReadonlyMap<EngineErrorCode, FailureCode> = new Map([
  ['TARGET_FULL', 'STORAGE_FULL'],
  ['CONNECTION_LOST', 'SCRATCH_SERVER_FAILED'],
  ['SERVER_UNREACHABLE', 'SCRATCH_SERVER_FAILED'],
  ['SERVER_NOT_ACCEPTING', 'SCRATCH_SERVER_FAILED'],
  ['SERVER_RESOURCES_EXHAUSTED', 'SCRATCH_SERVER_FAILED'],
  ['PERMISSION_DENIED', 'PROOF_NOT_POSSIBLE'],
  ['LOCALE_MISSING', 'PROOF_NOT_POSSIBLE'],
  ['ROLE_MISSING', 'PROOF_NOT_POSSIBLE'],
  ['RESTORE_FAILED', 'PROOF_NOT_POSSIBLE'],
])

/**
 * A failed restore as a finding about the point, in a sentence; undefined when it says nothing against the point: only
 * where the scratch server is of the source's version, and nothing that it lacks explains the failure, is the data at fault.
 */
export function differenceOf(
  cause: unknown,
  { artifact, isSameMajor }: Pick<CopyRequest, 'artifact' | 'isSameMajor'>,
): string | undefined {
  if (!(cause instanceof EngineError) || cause.code !== 'RESTORE_FAILED' || !isSameMajor) return undefined
  if (ofTheScratchServer.test(ownWords(`${cause.message}\n${cause.details}`))) return undefined
  return `Database ${JSON.stringify(artifact.database)} does not restore: ${cause.message}`
}

/** The work, its failure told as what it is: one of the scratch server, not of a server that an operator runs. */
export async function withoutScratch<Result>(work: Promise<Result>, { signal }: ScratchServer): Promise<Result> {
  try {
    return await work
  } catch (cause) {
    signal.throwIfAborted()
    if (!(cause instanceof EngineError)) throw cause
    const code = ofTheScratch.get(cause.code)
    throw code === undefined ? cause : new WorkFailed(code, `${cause.message} ${cause.details}`.trim())
  }
}
