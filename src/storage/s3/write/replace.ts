import { createHash, randomUUID } from 'node:crypto'
import { PutObjectCommand } from '@aws-sdk/client-s3'
import { StorageError } from '../../storage-error.ts'
import type { Bucket } from '../bucket.ts'
import { findObject, headObject, writeIdName } from '../look.ts'

/**
 * Puts other bytes in the place of an object by one request, which a store carries out as a whole or not at all, and makes
 * sure of it: an answer that was lost may have been a yes. Throws STORAGE_OBJECT_MISSING when there is no such object.
 */
export async function replaceObject(bucket: Bucket, key: string, bytes: Buffer): Promise<void> {
  if (!(await findObject(bucket, key))) {
    throw new StorageError('STORAGE_OBJECT_MISSING', key, `${key} is not in the ${bucket.description}.`)
  }
  const writeId = randomUUID()
  const isOurs = async () => {
    const head = await headObject(bucket, key)
    return head?.sizeBytes === bytes.length && (head.writeId === undefined || head.writeId === writeId)
  }
  const command = new PutObjectCommand({
    Bucket: bucket.name,
    Key: bucket.objectKey(key),
    Body: bytes,
    ContentLength: bytes.length,
    ChecksumSHA256: createHash('sha256').update(bytes).digest('base64'),
    Metadata: { [writeIdName]: writeId },
  })
  try {
    await bucket.guarded(key, bucket.client.send(command))
  } catch (error) {
    if (await isOurs().catch(() => false)) return
    throw error
  }
  if (await isOurs()) return
  const message = `The ${bucket.description} says that it has replaced ${key}, but holds something else there.`
  throw new StorageError('STORAGE_FAILED', key, message)
}
