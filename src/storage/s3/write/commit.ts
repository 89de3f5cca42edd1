import { CompleteMultipartUploadCommand, DeleteObjectCommand, PutObjectCommand } from '@aws-sdk/client-s3'
import { StorageError, takenError } from '../../storage-error.ts'
import type { Bucket } from '../bucket.ts'
import { nameOf, statusOf } from '../error.ts'
import { headObject, writeIdName } from '../look.ts'
import type { Upload } from './upload.ts'

/**
 * Makes what was uploaded the object, on the condition that its key is free, and makes sure of it: the object is there,
 * of this size and of this write. Whatever the store answers, only that counts: an answer that was lost may have been a yes.
 */
export async function commitUpload(
  bucket: Bucket,
  key: string,
  upload: Upload,
  signal: AbortSignal | undefined,
): Promise<void> {
  // Where the store takes no condition this is all that keeps two writers apart.
  if (await headObject(bucket, key, signal)) throw takenError(key)
  try {
    await bucket.guarded(key, create(bucket, key, upload, signal), signal)
  } catch (error) {
    if (signal?.aborted || !(await isOurs(bucket, key, upload))) throw error
  }
  const head = await headObject(bucket, key, signal)
  if (head && head.writeId !== undefined && head.writeId !== upload.writeId) throw takenError(key)
  if (head?.sizeBytes === upload.sizeBytes()) return
  const found = head ? `it has ${head.sizeBytes} bytes` : 'it is not there'
  const message = `The ${bucket.description} says that it has stored ${key} of ${upload.sizeBytes()} bytes, but ${found}.`
  throw new StorageError('STORAGE_FAILED', key, message)
}

/** Removes the object if it is of this write: a commit that failed, or was aborted, may have been carried out. */
export async function undoCommit(bucket: Bucket, key: string, upload: Upload, deadline: AbortSignal): Promise<void> {
  if ((await headObject(bucket, key, deadline))?.writeId !== upload.writeId) return
  const command = new DeleteObjectCommand({ Bucket: bucket.name, Key: bucket.objectKey(key) })
  await bucket.guarded(key, bucket.client.send(command, { abortSignal: deadline }), deadline)
}

async function create(bucket: Bucket, key: string, upload: Upload, signal: AbortSignal | undefined): Promise<void> {
  const send = await creation(bucket, key, upload, signal)
  if (!bucket.isConditional) return await send({})
  try {
    await send({ IfNoneMatch: '*' })
  } catch (error) {
    if (!refusesConditions(error)) throw error
    bucket.isConditional = false
    await send({})
  }
}

/** The one request that makes the object. */
async function creation(bucket: Bucket, key: string, upload: Upload, signal: AbortSignal | undefined) {
  const object = { Bucket: bucket.name, Key: bucket.objectKey(key) }
  const options = signal && { abortSignal: signal }
  const multipart = await upload.parts()
  if (multipart) {
    const MultipartUpload = { Parts: multipart.parts }
    return async (condition: { IfNoneMatch?: string }) => {
      const how = { ...object, ...condition, UploadId: multipart.uploadId, MultipartUpload }
      await bucket.client.send(new CompleteMultipartUploadCommand(how), options)
    }
  }
  const { bytes, sha256 } = upload.rest()
  const ChecksumSHA256 = sha256.digest('base64')
  const Metadata = { [writeIdName]: upload.writeId }
  return async (condition: { IfNoneMatch?: string }) => {
    const how = { ...object, ...condition, Body: bytes, ContentLength: bytes.length, ChecksumSHA256, Metadata }
    await bucket.client.send(new PutObjectCommand(how), options)
  }
}

/** Whether a store says that it does not know the condition, rather than that the condition does not hold. */
export function refusesConditions(error: unknown): boolean {
  return statusOf(error) === 501 || nameOf(error) === 'NotImplemented'
}

async function isOurs(bucket: Bucket, key: string, upload: Upload): Promise<boolean> {
  try {
    return (await headObject(bucket, key))?.writeId === upload.writeId
  } catch {
    return false
  }
}
