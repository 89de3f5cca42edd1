import type { Storage } from './contract.ts'
import { describeBucket, type S3Location, type S3Patience, usualPatience } from './s3/location.ts'

/** Keeps objects in a bucket of an S3-compatible store, as `bucketStorage` does. Nothing is loaded before it is used: the SDK is large. */
export function s3Storage(location: S3Location, patience: S3Patience = usualPatience): Storage {
  let opened: Promise<Storage> | undefined
  const storage = () => {
    opened ??= import('./s3/storage.ts').then(({ bucketStorage }) => bucketStorage(location, patience))
    return opened
  }
  return {
    description: describeBucket(location),
    prepare: async () => (await storage()).prepare(),
    write: async (key, fill, options) => (await storage()).write(key, fill, options),
    replace: async (key, bytes) => (await storage()).replace(key, bytes),
    read: async (key, options) => (await storage()).read(key, options),
    size: async (key) => (await storage()).size(key),
    async *list(prefix) {
      yield* (await storage()).list(prefix)
    },
    remove: async (key) => (await storage()).remove(key),
    removeAll: async (prefix) => (await storage()).removeAll(prefix),
    probe: async () => (await storage()).probe(),
    freeBytes: async () => (await storage()).freeBytes(),
  }
}
