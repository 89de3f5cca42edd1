import { join } from 'node:path'
import { directorySet } from './directory/file-set.ts'
import { makeFolders } from './directory/place.ts'
import type { FileSet, SetWriter } from './file-set.ts'
import { checkKey } from './key.ts'
import type { StorageLocation } from './open.ts'
import { describeBucket, type S3Location, type S3Patience, usualPatience } from './s3/location.ts'

/** A set in a folder of a place; the folder is a key. Nothing is touched until the set is used. */
export function openFileSet(location: StorageLocation, folder: string, writer: SetWriter): FileSet {
  checkKey(folder)
  if (location.kind === 'S3') return lazyBucketSet(location, folder, writer)
  const { path } = location
  return directorySet(join(path, folder), writer, () => makeFolders(path, folder))
}

/** The SDK is large: nothing of it is loaded before it is used. */
export function lazyBucketSet(
  location: S3Location,
  folder: string,
  writer: SetWriter,
  patience: S3Patience = usualPatience,
): FileSet {
  let opened: Promise<FileSet> | undefined
  const open = async () => {
    const [{ openBucket }, { bucketSet }] = await Promise.all([import('./s3/bucket.ts'), import('./s3/file-set.ts')])
    return bucketSet(openBucket(location, patience), `${folder}/`, writer)
  }
  const set = () => {
    opened ??= open()
    return opened
  }
  return {
    description: `${folder} in ${describeBucket(location)}`,
    occupants: async () => (await set()).occupants(),
    read: async (name) => (await set()).read(name),
    removeEarlier: async () => (await set()).removeEarlier(),
    write: async (name, fill, signal) => (await set()).write(name, fill, signal),
    commit: async (name, text, options) => (await set()).commit(name, text, options),
    discard: async () => (await set()).discard(),
  }
}
