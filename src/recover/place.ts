import { randomUUID } from 'node:crypto'
import { link, open, readdir, readFile, rm } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { startEmbeddedDatabase } from '../database/embedded.ts'
import { isDirectoryMarked, markDatabase, markDirectory, markName, unmarkDatabase } from '../database/recovery-mark.ts'
import type { Settings } from '../settings.ts'
import { syncFolder } from '../storage/directory/place.ts'
import { RecoveryRefused } from './refused.ts'

/** What every life of a service may have in its directory, and what the embedded database puts there. */
const lockFiles = ['lock', 'lock-journal', 'lock.holder']
const databaseFiles = ['metadata', 'metadata.password']
/** Begins the names of what a recovery needs for a moment. */
export const scratch = '.recovery-'

/** Where a service is being put together: no service starts there before it is finished. */
export interface Place {
  url: string
  /** Makes it a service's; the key file is there before. */
  finish: (keyFile: Buffer) => Promise<void>
  /** Leaves nothing of it. */
  giveUp: () => Promise<void>
}

/**
 * Takes an empty data directory, and an empty metadata database, and marks them as unfinished. What an earlier recovery that
 * was broken off has left there is removed. Refuses what holds anything else. The directory is locked by the caller.
 */
export async function preparePlace({ dataDirectory, databaseUrl, keyFile }: Settings): Promise<Place> {
  const isBegun = await isDirectoryMarked(dataDirectory)
  await refuseFullDirectory(dataDirectory, isBegun ? [...databaseFiles, markName, basename(keyFile)] : [])
  if (!isBegun && (await isThere(keyFile))) {
    throw new RecoveryRefused(`There is a key file already: move ${keyFile} away first.`)
  }
  await markDirectory(dataDirectory, true)
  await removeUnfinished(dataDirectory)
  const running = new AsyncDisposableStack()
  let hasWrittenKey = false
  const clear = async () => {
    await running.disposeAsync()
    await removeUnfinished(dataDirectory)
    await markDirectory(dataDirectory, false)
  }
  try {
    const url = databaseUrl ?? running.use(await startEmbeddedDatabase({ dataDirectory })).url
    if (!(await markDatabase(url))) throw notEmpty(isBegun && (await isThere(keyFile)))
    return {
      url,
      async finish(key) {
        hasWrittenKey = await writeKeyFile(keyFile, key)
        // The service counts as whole once the database has no mark: no loss of power may take its key file after that.
        await syncFolder(dirname(keyFile))
        await unmarkDatabase(url, { isFailed: false })
        await running.disposeAsync()
        await markDirectory(dataDirectory, false)
      },
      async giveUp() {
        if (hasWrittenKey) await rm(keyFile, { force: true })
        if (databaseUrl !== null) await unmarkDatabase(url, { isFailed: true })
        await clear()
      },
    }
  } catch (cause) {
    await clear()
    throw cause
  }
}

/** The mark of the database goes before that of the directory: killed in between, a recovery has come to its end. */
function notEmpty(mayHaveEnded: boolean): RecoveryRefused {
  const ended = mayHaveEnded
    ? ' If it is the one that the recovery before this one has filled, that has come to its end: start the service.'
    : ''
  return new RecoveryRefused(`The metadata database (DATABASE_URL) is not empty: give an empty one.${ended}`)
}

async function refuseFullDirectory(dataDirectory: string, ours: readonly string[]): Promise<void> {
  const names = await readdir(dataDirectory)
  const other = names.find((name) => ![...lockFiles, ...ours].includes(name) && !name.startsWith(scratch))
  if (other !== undefined) {
    throw new RecoveryRefused(
      `The data directory ${dataDirectory} is not empty (${other}): a recovery never writes over a service. Name an empty one by --data-dir.`,
    )
  }
}

async function removeUnfinished(dataDirectory: string): Promise<void> {
  const left = (await readdir(dataDirectory)).filter((name) => name.startsWith(scratch))
  for (const name of [...databaseFiles, ...left]) {
    // A database that was killed with its recovery may take a moment to end.
    await rm(join(dataDirectory, name), { recursive: true, force: true, maxRetries: 20 })
  }
}

/** Its bytes durable, for its owner alone, and never over another one. Answers false where the same one was there. */
async function writeKeyFile(path: string, key: Buffer): Promise<boolean> {
  const temporary = join(dirname(path), `${scratch}${randomUUID()}`)
  const file = await open(temporary, 'wx', 0o600)
  try {
    await file.writeFile(key)
    await file.sync()
    await link(temporary, path)
    return true
  } catch (cause) {
    // A recovery that was killed right before its end has left the same one.
    const isThere = cause instanceof Error && 'code' in cause && cause.code === 'EEXIST'
    if (!isThere || !(await readFile(path)).equals(key)) throw cause
    return false
  } finally {
    await file.close()
    await rm(temporary, { force: true })
  }
}

async function isThere(path: string): Promise<boolean> {
  return readFile(path).then(
    () => true,
    (cause: NodeJS.ErrnoException) => cause.code !== 'ENOENT',
  )
}
