import type { Dirent } from 'node:fs'
import { lstat, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { StoredObject } from '../contract.ts'
import { isKeyPart } from '../key.ts'
import { StorageError } from '../storage-error.ts'
import { guarded, pathInside, rootIdentity, unlessMissing } from './place.ts'

/**
 * Every committed file below a folder prefix, in the order of their keys. Foreign names, links and half-written files
 * are passed over; what is removed meanwhile may be missing; a disk that goes away meanwhile is an error.
 */
export async function* listFiles(root: string, prefix: string): AsyncGenerator<StoredObject> {
  const identity = await rootIdentity(root)
  if (await pathInside(root, prefix)) yield* walk(root, prefix)
  if (identity !== (await rootIdentity(root)))
    throw new StorageError(
      'STORAGE_UNREACHABLE',
      root,
      `Another file system came to ${root} while it was being listed.`,
    )
}

async function* walk(root: string, prefix: string): AsyncGenerator<StoredObject> {
  const folder = join(root, prefix)
  const entries = await guarded(folder, unlessMissing(readdir(folder, { withFileTypes: true })))
  for (const name of keyOrder(entries ?? [])) {
    const key = prefix + name
    if (key.endsWith('/')) yield* walk(root, key)
    else {
      const found = await guarded(key, unlessMissing(lstat(join(root, key))))
      if (found) yield { key, sizeBytes: found.size }
    }
  }
}

/** A folder sorts as its name with the "/" that its keys have there. */
function keyOrder(entries: Dirent[]): string[] {
  return entries
    .filter((entry) => isKeyPart(entry.name) && (entry.isFile() || entry.isDirectory()))
    .map((entry) => (entry.isDirectory() ? `${entry.name}/` : entry.name))
    .sort((one, other) => (one < other ? -1 : 1))
}
