import type { Storage } from '../contract.ts'
import { checkKey, checkPrefix } from '../key.ts'
import { probePrefix, probeStorage, sweepProbes } from '../probe.ts'
import { StorageError } from '../storage-error.ts'
import { type Bucket, openBucket } from './bucket.ts'
import { listObjects } from './list.ts'
import type { S3Location, S3Patience } from './location.ts'
import { findObject, headBucket } from './look.ts'
import { probeConditions } from './probe.ts'
import { readObject } from './read.ts'
import { removeObject, removeObjects } from './remove.ts'
import { largestObjectBytes } from './write/part-plan.ts'
import { replaceObject } from './write/replace.ts'
import { writeObject } from './write/write.ts'

/**
 * Keeps objects in a bucket of an S3-compatible store, which has to be there; none is made. Where the store takes no
 * condition for a new object, two writers of one key in the same moment may both believe that they were first.
 */
export function bucketStorage(location: S3Location, patience: S3Patience): Storage {
  const bucket = openBucket(location, patience)
  const storage: Storage = {
    description: bucket.description,
    prepare: () => headBucket(bucket),
    async write(key, fill, { signal } = {}) {
      checkKey(key)
      await writeObject(bucket, key, fill, signal)
    },
    async replace(key, bytes) {
      checkKey(key)
      await replaceObject(bucket, key, bytes)
    },
    async read(key, range = {}) {
      checkKey(key)
      return await readObject(bucket, key, range)
    },
    async size(key) {
      checkKey(key)
      return (await findObject(bucket, key))?.sizeBytes
    },
    async *list(prefix) {
      checkPrefix(prefix)
      yield* listObjects(bucket, prefix)
    },
    async remove(key) {
      checkKey(key)
      await removeObject(bucket, key)
    },
    async removeAll(prefix) {
      checkPrefix(prefix)
      if (prefix === '') throw new StorageError('STORAGE_KEY_INVALID', prefix, 'A vault is not emptied in one go.')
      await removeObjects(bucket, prefix)
    },
    async probe() {
      await probeStorage(storage)
      await sweepProbes(storage, probesIn(bucket))
      return { conditionalCreate: await probeConditions(bucket), largestObjectBytes }
    },
    freeBytes: async () => undefined,
  }
  return storage
}

async function* probesIn(bucket: Bucket): AsyncGenerator<string> {
  for await (const { key } of listObjects(bucket, probePrefix)) yield key
}
