import { mkdir, readFile, stat, writeFile } from 'node:fs/promises'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'

/** The data directory is used by another process; the message names it. */
export class DataDirectoryInUse extends Error {}

/** The data directory cannot be made, is none, or cannot be written to by this user. */
export class DataDirectoryUnusable extends Error {}

/**
 * Makes the data directory where it is missing and takes it for this process alone until disposed of.
 * The lock is the kernel's own, on a file in it: it ends with the process however that ends, is never mistaken for another
 * one's, and holds between containers that share the directory. Throws DataDirectoryInUse when another process has it,
 * DataDirectoryUnusable where it cannot be had at all.
 */
export async function takeDataDirectory(path: string): Promise<Disposable> {
  // Root's embedded PostgreSQL runs as another user, who has to pass through to its own folder but sees nothing else.
  const mode = process.getuid?.() === 0 ? 0o711 : 0o700
  await mkdir(path, { recursive: true, mode }).catch((cause) => {
    throw new DataDirectoryUnusable(`The data directory ${path} cannot be made: ${cause.message}`, { cause })
  })
  if (!(await stat(path)).isDirectory())
    throw new DataDirectoryUnusable(`The data directory ${path} is not a directory.`)
  const holderFile = join(path, 'lock.holder')
  const lock = await takeLock(path, holderFile)
  try {
    await writeFile(holderFile, `process ${process.pid} on ${hostname()} since ${new Date().toISOString()}`, {
      mode: 0o600,
    })
  } catch (cause) {
    lock.close()
    throw cause
  }
  return { [Symbol.dispose]: () => lock.close() }
}

function openLock(path: string): DatabaseSync {
  const file = join(path, 'lock')
  try {
    return new DatabaseSync(file, { timeout: 0 })
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause)
    throw new DataDirectoryUnusable(`The data directory ${path} cannot be used: ${why} (${file}).`, { cause })
  }
}

async function takeLock(path: string, holderFile: string): Promise<DatabaseSync> {
  // Nothing is ever stored in it: SQLite's exclusive lock is the one kernel lock on a file that Node can take.
  const lock = openLock(path)
  try {
    lock.exec('pragma journal_mode = memory; begin exclusive')
    return lock
  } catch (cause) {
    lock.close()
    if (!(cause instanceof Error && cause.message.includes('locked'))) throw cause
    const holder = await readFile(holderFile, 'utf8').catch(() => 'another process')
    throw new DataDirectoryInUse(
      `The data directory ${path} is in use by ${holder}: stop that one first, or set HOLDFAST_DATA_DIR to another directory.`,
      { cause },
    )
  }
}
