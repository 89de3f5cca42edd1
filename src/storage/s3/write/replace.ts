import { createHash } from 'node:crypto'
import { buffer } from 'node:stream/consumers'
import { PutObjectCommand } from '@aws-sdk/client-s3'
import { StorageError } from '../../storage-error.ts'
import type { Bucket } from '../bucket.ts'
import { findObject } from '../look.ts'
import { readObject } from '../read.ts'

/**
 * Puts other bytes in the place of an object by one request, which a store carries out as a whole or not at all, and reads
 * them back: an answer that was lost may have been a yes. Throws STORAGE_OBJECT_MISSING when there is no such object.
 */
export async function replaceObject(bucket: Bucket, key: string, bytes: Buffer): Promise<void> {
  if (!(await findObject(bucket, key))) {
    throw new StorageError('STORAGE_OBJECT_MISSING', key, `${key} is not in the ${bucket.description}.`)
  }
  const isDone = async () => (await buffer(await readObject(bucket, key, { end: bytes.length + 1 }))).equals(bytes)
  const command = new PutObjectCommand({
    Bucket: bucket.name,
    Key: bucket.objectKey(key),
    Body: bytes,
    ContentLength: bytes.length,
    ChecksumSHA256: createHash('sha256').update(bytes).digest('base64'),
  })
  try {
    await bucket.guarded(key, bucket.client.send(command))
  } catch (error) {
    if (await isDone().catch(() => false)) return
    throw error
  }
  if (await isDone()) return
  const message = `The ${bucket.description} says that it has replaced ${key}, but holds something else there.`
  throw new StorageError('STORAGE_FAILED', key, message)
}
