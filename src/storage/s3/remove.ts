import { DeleteObjectCommand, DeleteObjectsCommand } from '@aws-sdk/client-s3'
import { StorageError } from '../storage-error.ts'
import type { Bucket } from './bucket.ts'
import { listPages } from './list.ts'
import { sweepUploads } from './sweep.ts'

const mostKeys = 1000
const mostShown = 5

/** Removes one object; one that is not there is gone already. */
export async function removeObject(bucket: Bucket, key: string): Promise<void> {
  const command = new DeleteObjectCommand({ Bucket: bucket.name, Key: bucket.objectKey(key) })
  await bucket.guarded(key, bucket.client.send(command))
}

/** Removes all that is below a folder, foreign names and unfinished uploads too, a thousand keys a request. */
export async function removeObjects(bucket: Bucket, prefix: string): Promise<void> {
  const objectPrefix = bucket.objectKey(prefix)
  // First the uploads: none may become an object after the objects are gone.
  await sweepUploads(bucket, objectPrefix)
  for await (const page of listPages(bucket, objectPrefix)) {
    const keys = page.map(({ key }) => key)
    for (let start = 0; start < keys.length; start += mostKeys) {
      await removeKeys(bucket, keys.slice(start, start + mostKeys))
    }
  }
}

/** The answer is a success even when some keys stay: each has to be named as deleted. */
async function removeKeys(bucket: Bucket, keys: string[]): Promise<void> {
  const command = new DeleteObjectsCommand({
    Bucket: bucket.name,
    Delete: { Objects: keys.map((Key) => ({ Key })), Quiet: false },
  })
  const { Deleted = [], Errors = [] } = await bucket.guarded(bucket.description, bucket.client.send(command))
  const deleted = new Set(Deleted.map(({ Key }) => Key))
  const left = keys.filter((key) => !deleted.has(key))
  if (Errors.length === 0 && left.length === 0) return
  const shown = Errors.slice(0, mostShown).map(({ Key, Code }) => `${Key}: ${Code}`)
  const reasons = [...new Set(Errors.map(({ Code }) => Code))]
  const message = `The ${bucket.description} removed only ${keys.length - left.length} of ${keys.length} objects (${shown.join(', ') || left[0]}).`
  const isDenied = reasons.length === 1 && reasons[0] === 'AccessDenied'
  throw new StorageError(isDenied ? 'STORAGE_PERMISSION_DENIED' : 'STORAGE_FAILED', bucket.description, message)
}
