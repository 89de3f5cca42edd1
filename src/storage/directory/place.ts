import { lstat, mkdir, open, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { StorageError, type StorageErrorCode } from '../storage-error.ts'

const codes: Record<string, { code: StorageErrorCode; what: string }> = {
  ENOSPC: { code: 'STORAGE_FULL', what: 'has no space left' },
  EDQUOT: { code: 'STORAGE_FULL', what: 'has reached its quota' },
  EROFS: { code: 'STORAGE_READ_ONLY', what: 'is on a read-only file system' },
  EACCES: { code: 'STORAGE_PERMISSION_DENIED', what: 'may not be used by the user that the service runs as' },
  EPERM: { code: 'STORAGE_PERMISSION_DENIED', what: 'does not permit this operation' },
  ENOENT: { code: 'STORAGE_UNREACHABLE', what: 'has lost its folder: is its disk mounted?' },
  ESTALE: { code: 'STORAGE_UNREACHABLE', what: 'is on a network file system that has gone away' },
  ENODEV: { code: 'STORAGE_UNREACHABLE', what: 'is on a device that has gone away' },
  ENXIO: { code: 'STORAGE_UNREACHABLE', what: 'is on a device that has gone away' },
  ENOTCONN: { code: 'STORAGE_UNREACHABLE', what: 'is on a file system that is not connected' },
  EHOSTDOWN: { code: 'STORAGE_UNREACHABLE', what: 'is on a host that is down' },
  ETIMEDOUT: { code: 'STORAGE_UNREACHABLE', what: 'did not answer in time' },
  EIO: { code: 'STORAGE_FAILED', what: 'reports an input/output error' },
  EFBIG: { code: 'STORAGE_FAILED', what: 'does not take files of this size' },
}

/** The system's name for what went wrong, such as ENOENT; undefined for anything but a system error. */
export function systemCode(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined
}

/** Runs a file operation; its failure becomes a StorageError that names `subject`. */
export async function guarded<T>(subject: string, operation: Promise<T>): Promise<T> {
  try {
    return await operation
  } catch (error) {
    throw storageError(subject, error)
  }
}

/** Says a system error in the storage's words; a StorageError stays as it is. */
export function storageError(subject: string, error: unknown): StorageError {
  if (error instanceof StorageError) return error
  const system = systemCode(error) ?? 'unknown error'
  const { code, what } = codes[system] ?? { code: 'STORAGE_FAILED', what: 'failed' }
  return new StorageError(code, subject, `${subject} ${what} (${system}).`, { cause: error })
}

/** Which folder on which file system the root is at this moment. Throws STORAGE_UNREACHABLE when it is none. */
export async function rootIdentity(root: string): Promise<string> {
  try {
    const found = await stat(root, { bigint: true })
    if (found.isDirectory()) return `${found.dev}:${found.ino}`
  } catch (error) {
    const system = systemCode(error)
    if (system !== 'ENOENT' && system !== 'ENOTDIR') throw storageError(root, error)
  }
  const message = `The folder ${root} is not there: is its disk mounted?`
  throw new StorageError('STORAGE_UNREACHABLE', root, message)
}

/**
 * The path of a key or folder whose parents are real folders of the vault; undefined when a parent is not there.
 * A symbolic link among them is never followed but fails, and so does a missing root.
 */
export async function pathInside(root: string, key: string): Promise<string | undefined> {
  await rootIdentity(root)
  const parts = key.split('/')
  let folder = root
  for (const part of parts.slice(0, -1)) {
    folder = join(folder, part)
    const found = await guarded(folder, unlessMissing(lstat(folder)))
    if (!found) return undefined
    if (found.isSymbolicLink()) throw linkError(folder)
    if (!found.isDirectory()) return undefined
  }
  return join(root, key)
}

/** Makes the folders above a key where they are missing (mode 0700, durable); answers the key's path. Never makes the root. */
export async function makeFolders(root: string, key: string): Promise<string> {
  await rootIdentity(root)
  const parts = key.split('/')
  let folder = root
  for (const part of parts.slice(0, -1)) {
    folder = join(folder, part)
    await guarded(folder, makeFolder(folder))
  }
  return join(root, key)
}

/** Makes one folder (mode 0700) durably inside a folder that exists; a real folder of that name is taken as it is. */
export async function makeFolder(folder: string): Promise<void> {
  try {
    await mkdir(folder, 0o700)
  } catch (error) {
    if (systemCode(error) !== 'EEXIST') throw error
    const found = await lstat(folder)
    if (found.isDirectory()) return
    throw found.isSymbolicLink()
      ? linkError(folder)
      : new StorageError('STORAGE_FAILED', folder, `${folder} is in the way: it is not a folder.`)
  }
  await syncFolder(dirname(folder))
}

/** Makes the entries of a folder durable. */
export async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

/** A file operation's answer, or undefined when what it asks for is not there. */
export async function unlessMissing<T>(operation: Promise<T>): Promise<T | undefined> {
  try {
    return await operation
  } catch (error) {
    const system = systemCode(error)
    if (system === 'ENOENT' || system === 'ENOTDIR') return undefined
    throw error
  }
}

/** A symbolic link lies where the vault keeps its own files. */
export function linkError(path: string): StorageError {
  return new StorageError('STORAGE_FAILED', path, `${path} is a symbolic link: links inside a vault are not followed.`)
}
