import { lstat, readdir, statfs } from 'node:fs/promises'
import { resolve } from 'node:path'
import type { Storage } from './contract.ts'
import { listFiles } from './directory/list.ts'
import { guarded, makeFolder, rootIdentity, unlessMissing } from './directory/place.ts'
import { readFile, sizeOfFile } from './directory/read.ts'
import { removeFile, removeFolder } from './directory/remove.ts'
import { replaceFile } from './directory/replace.ts'
import { writeFile } from './directory/write.ts'
import { checkKey, checkPrefix } from './key.ts'
import { probeStorage, sweepProbes } from './probe.ts'
import { StorageError } from './storage-error.ts'

/**
 * Keeps objects as files (mode 0600) below a folder, which has to be there: a folder that is missing is a disk that is
 * not mounted, never an empty vault. Needs a file system with hard links.
 */
export function directoryStorage(path: string): Storage {
  const root = resolve(path)
  const storage: Storage = {
    description: `folder ${root}`,
    async prepare() {
      if (await guarded(root, unlessMissing(lstat(root)))) await rootIdentity(root)
      else await guarded(root, makeFolder(root))
    },
    async write(key, fill, { signal } = {}) {
      checkKey(key)
      await writeFile(root, key, fill, signal)
    },
    async replace(key, bytes) {
      checkKey(key)
      await replaceFile(root, key, bytes)
    },
    async read(key, range = {}) {
      checkKey(key)
      return await readFile(root, key, range)
    },
    async size(key) {
      checkKey(key)
      return await sizeOfFile(root, key)
    },
    async *list(prefix) {
      checkPrefix(prefix)
      yield* listFiles(root, prefix)
    },
    async remove(key) {
      checkKey(key)
      await removeFile(root, key)
    },
    async removeAll(prefix) {
      checkPrefix(prefix)
      if (prefix === '') throw new StorageError('STORAGE_KEY_INVALID', prefix, 'A vault is not emptied in one go.')
      await removeFolder(root, prefix)
    },
    async probe() {
      await probeStorage(storage)
      await sweepProbes(storage, namesIn(root))
      return { conditionalCreate: true, largestObjectBytes: null }
    },
    async freeBytes() {
      await rootIdentity(root)
      const { bavail, bsize } = await guarded(root, statfs(root))
      return bavail * bsize
    },
  }
  return storage
}

async function* namesIn(root: string): AsyncGenerator<string> {
  yield* await guarded(root, readdir(root))
}
