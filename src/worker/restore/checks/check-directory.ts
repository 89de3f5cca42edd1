import { mkdir, open, readdir, readFile, realpath, rm, stat, statfs } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import type { RestoreCheck } from '../../../restore/validation.ts'
import { LocationTakenByStorageAccount } from '../../../storage-account/storage-account.ts'
import { requireFreePlace } from '../../../vault/location.ts'
import { LocationTaken } from '../../../vault/vault.ts'
import type { WorkerContext } from '../../context.ts'
import { WorkFailed } from '../../failure.ts'
import { storageFailure } from '../file-failure.ts'
import { passed, problem } from './check.ts'

export interface DirectoryToCheck {
  directory: string
  /** A folder beside it that this attempt alone uses: it is made, tried and removed. */
  beside: string
}

export interface DirectoryChecks {
  checks: RestoreCheck[]
  /** Null when the file system could not be asked. */
  bytesFree: number | null
}

/** Looks for everything about a directory that would make a restore into it fail; what it holds afterwards is what it held before. */
export async function checkDirectoryTarget(
  { database }: WorkerContext,
  { directory, beside }: DirectoryToCheck,
): Promise<DirectoryChecks> {
  const place = await checkPlace(database, directory)
  const files = await checkFiles(directory)
  const probe = await tryWriting(directory, beside)
  return { checks: [...place, ...files, probe], bytesFree: await freeBytesOf(dirname(directory)) }
}

/** Neither a vault's place nor a storage account's, whose rules it would get round. */
async function checkPlace(database: WorkerContext['database'], directory: string): Promise<RestoreCheck[]> {
  try {
    for (const path of new Set([directory, await realPathOf(directory)])) {
      await requireFreePlace(database, { kind: 'DIRECTORY', path })
    }
    return [passed('TARGET_PLACE', directory, 'It lies in no vault and no storage account.')]
  } catch (cause) {
    if (!(cause instanceof LocationTaken || cause instanceof LocationTakenByStorageAccount)) throw cause
    return [problem('TARGET_PLACE', 'TARGET_PLACE_TAKEN', directory, cause.message)]
  }
}

/** Where a directory lies, or will, once links are followed; as far as that can be seen. */
async function realPathOf(directory: string): Promise<string> {
  const real = await realpath(directory).catch(() => undefined)
  if (real !== undefined || dirname(directory) === directory) return real ?? directory
  return join(await realPathOf(dirname(directory)), basename(directory))
}

const namedEntries = 5

async function checkFiles(directory: string): Promise<RestoreCheck[]> {
  try {
    const entries = await readdir(directory)
    if (entries.length > 0) {
      const named = entries.sort().slice(0, namedEntries).join(', ')
      const message = `${directory} holds ${entries.length === 1 ? '1 entry' : `${entries.length} entries`} already: ${named}.`
      return [problem('EXISTING_FILES', 'TARGET_NOT_EMPTY', directory, message)]
    }
    // The finished directory takes the place of the empty one by being renamed, which a mount point does not allow.
    const [own, parent] = await Promise.all([stat(directory), stat(dirname(directory))])
    if (own.dev === parent.dev) return [passed('EXISTING_FILES', directory, 'It is there and empty.')]
    const message = `${directory} is a mount point, which the finished directory cannot replace.`
    return [problem('TARGET_PLACE', 'STORAGE_FAILED', directory, message, ['Name a directory below it.'])]
  } catch (cause) {
    if (systemCode(cause) === 'ENOENT')
      return [passed('EXISTING_FILES', directory, 'It is not there and will be made.')]
    if (systemCode(cause) === 'ENOTDIR') {
      return [problem('TARGET_PLACE', 'TARGET_NOT_EMPTY', directory, `${directory} is not a directory.`)]
    }
    return [fileProblem('EXISTING_FILES', directory, cause)]
  }
}

const probeBytes = Buffer.alloc(4096, 'holdfast')

async function tryWriting(directory: string, beside: string): Promise<RestoreCheck> {
  const parent = dirname(directory)
  try {
    try {
      await mkdir(beside, { mode: 0o700 })
      await writeDurably(join(beside, 'probe'))
    } finally {
      await rm(beside, { recursive: true, force: true })
    }
    return passed('WRITE_PROBE', parent, 'A file was written beside it, read back and removed.')
  } catch (cause) {
    return fileProblem('WRITE_PROBE', parent, cause)
  }
}

async function writeDurably(path: string): Promise<void> {
  const file = await open(path, 'wx', 0o600)
  try {
    await file.writeFile(probeBytes)
    await file.sync()
  } finally {
    await file.close()
  }
  if (!(await readFile(path)).equals(probeBytes)) {
    throw new WorkFailed('STORAGE_FAILED', `${path} answers other bytes than were written.`)
  }
}

async function freeBytesOf(parent: string): Promise<number | null> {
  try {
    const { bavail, bsize } = await statfs(parent)
    return bavail * bsize
  } catch {
    // Why it cannot be asked is what the write probe says.
    return null
  }
}

function fileProblem(kind: 'EXISTING_FILES' | 'WRITE_PROBE', subject: string, cause: unknown): RestoreCheck {
  const failure = storageFailure(cause, subject)
  if (failure instanceof WorkFailed) return problem(kind, failure.code, subject, failure.details ?? subject)
  throw failure
}

function systemCode(cause: unknown): string | undefined {
  return cause instanceof Error && 'code' in cause && typeof cause.code === 'string' ? cause.code : undefined
}
