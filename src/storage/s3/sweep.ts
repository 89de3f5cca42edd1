import { AbortMultipartUploadCommand, ListMultipartUploadsCommand, ListPartsCommand } from '@aws-sdk/client-s3'
import { StorageError } from '../storage-error.ts'
import type { Bucket } from './bucket.ts'
import { nameOf, statusOf } from './error.ts'

const mostRounds = 5

/**
 * Aborts an upload, and resolves only when the store says that it is gone: a part that was on its way meanwhile may have
 * landed. `objectKey` is the key in the bucket.
 */
export async function abortUpload(
  bucket: Bucket,
  objectKey: string,
  uploadId: string,
  signal?: AbortSignal,
): Promise<void> {
  const upload = { Bucket: bucket.name, Key: objectKey, UploadId: uploadId }
  const options = signal && { abortSignal: signal }
  for (let round = 0; round < mostRounds; round++) {
    if (await isGone(bucket, objectKey, bucket.client.send(new AbortMultipartUploadCommand(upload), options))) return
    if (await isGone(bucket, objectKey, bucket.client.send(new ListPartsCommand(upload), options))) return
  }
  const message = `The ${bucket.description} was told ${mostRounds} times to drop an upload of ${objectKey}, and still has it.`
  throw new StorageError('STORAGE_FAILED', objectKey, message)
}

/** Aborts every upload below a prefix in the bucket that was never completed; only those whose further key is `isOwn`, where it is given. */
export async function sweepUploads(
  bucket: Bucket,
  objectPrefix: string,
  isOwn: (name: string) => boolean = () => true,
): Promise<void> {
  const found: { key: string; uploadId: string }[] = []
  let marker: { KeyMarker?: string; UploadIdMarker?: string } = {}
  for (;;) {
    const command = new ListMultipartUploadsCommand({ Bucket: bucket.name, Prefix: objectPrefix, ...marker })
    const request = bucket.client.send(command).catch((error) => {
      // A store that cannot list them ends them by itself, or never.
      if (statusOf(error) === 501) return undefined
      throw error
    })
    const page = await bucket.guarded(bucket.description, request)
    for (const { Key, UploadId } of page?.Uploads ?? []) {
      if (!Key?.startsWith(objectPrefix) || !UploadId) continue
      if (isOwn(Key.slice(objectPrefix.length))) found.push({ key: Key, uploadId: UploadId })
    }
    if (!page?.IsTruncated) break
    const next = { KeyMarker: page.NextKeyMarker ?? '', UploadIdMarker: page.NextUploadIdMarker ?? '' }
    if (
      next.KeyMarker === '' ||
      (next.KeyMarker === marker.KeyMarker && next.UploadIdMarker === marker.UploadIdMarker)
    ) {
      const message = `The ${bucket.description} lists some of its unfinished uploads and does not say how to go on.`
      throw new StorageError('STORAGE_FAILED', bucket.description, message)
    }
    marker = next
  }
  for (const { key, uploadId } of found) await abortUpload(bucket, key, uploadId)
}

async function isGone(bucket: Bucket, objectKey: string, request: Promise<unknown>): Promise<boolean> {
  const answer = request.then(
    () => false,
    (error) => {
      if (nameOf(error) === 'NoSuchUpload') return true
      throw error
    },
  )
  return await bucket.guarded(objectKey, answer)
}
