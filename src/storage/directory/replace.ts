import { randomUUID } from 'node:crypto'
import { open, rename, unlink } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { StorageError } from '../storage-error.ts'
import { guarded, pathInside, syncFolder } from './place.ts'
import { sizeOfFile } from './read.ts'
import { partialPrefix } from './write.ts'

/**
 * Writes under a temporary name beside the file, makes the bytes durable, and gives them the file's name, which the file
 * system does in one step. Throws STORAGE_OBJECT_MISSING when there is no such file.
 */
export async function replaceFile(root: string, key: string, bytes: Buffer): Promise<void> {
  const target = await pathInside(root, key)
  if (!target || (await sizeOfFile(root, key)) === undefined) {
    throw new StorageError('STORAGE_OBJECT_MISSING', key, `${key} is not in the vault.`)
  }
  const partial = join(dirname(target), partialPrefix + randomUUID())
  const file = await guarded(key, open(partial, 'wx', 0o600))
  try {
    await guarded(key, file.writeFile(bytes))
    await guarded(key, file.sync())
    await guarded(key, file.close())
    await guarded(key, rename(partial, target))
    await guarded(key, syncFolder(dirname(target)))
  } finally {
    await file.close().catch(() => undefined)
    await unlink(partial).catch(() => undefined)
  }
}
