import { HeadBucketCommand, HeadObjectCommand } from '@aws-sdk/client-s3'
import { StorageError } from '../storage-error.ts'
import type { Bucket } from './bucket.ts'
import { statusOf } from './error.ts'

/** The name under which an object keeps which write made it. */
export const writeIdName = 'holdfast-write'

/** An object as the store describes it. */
export interface ObjectHead {
  sizeBytes: number
  /** Which write made it; undefined where the store does not say. */
  writeId: string | undefined
}

/** Looks at an object; undefined only when the bucket is there and the object is not. */
export async function findObject(bucket: Bucket, key: string, signal?: AbortSignal): Promise<ObjectHead | undefined> {
  const head = await headObject(bucket, key, signal)
  // The same answer is given when there is no such bucket.
  if (!head) await headBucket(bucket, signal)
  return head
}

/** Looks at an object; undefined also when there is no such bucket, for callers that will learn of that anyway. */
export async function headObject(bucket: Bucket, key: string, signal?: AbortSignal): Promise<ObjectHead | undefined> {
  const command = new HeadObjectCommand({ Bucket: bucket.name, Key: bucket.objectKey(key) })
  const request = bucket.client.send(command, signal && { abortSignal: signal }).catch((error) => {
    if (statusOf(error) === 404) return undefined
    throw error
  })
  const head = await bucket.guarded(key, request, signal)
  if (!head) return undefined
  if (head.ContentLength === undefined) {
    throw new StorageError('STORAGE_FAILED', key, `The ${bucket.description} does not say how large ${key} is.`)
  }
  return { sizeBytes: head.ContentLength, writeId: head.Metadata?.[writeIdName] }
}

/** Makes sure that the bucket is there and may be used; throws STORAGE_UNREACHABLE when it is not there. */
export async function headBucket(bucket: Bucket, signal?: AbortSignal): Promise<void> {
  const place = bucket.description
  const command = new HeadBucketCommand({ Bucket: bucket.name })
  const request = bucket.client.send(command, signal && { abortSignal: signal }).catch((error) => {
    if (statusOf(error) !== 404) throw error
    const message = `The ${place} is not there: no bucket has that name. Create it, or check the endpoint.`
    throw new StorageError('STORAGE_UNREACHABLE', place, message)
  })
  await bucket.guarded(place, request, signal)
}
