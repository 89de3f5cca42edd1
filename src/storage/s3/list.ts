import { ListObjectsV2Command } from '@aws-sdk/client-s3'
import type { StoredObject } from '../contract.ts'
import { isKeyPart } from '../key.ts'
import { StorageError } from '../storage-error.ts'
import type { Bucket } from './bucket.ts'

/** Every object of the vault below a folder prefix, in the order of their keys; foreign names are passed over. */
export async function* listObjects(bucket: Bucket, prefix: string): AsyncGenerator<StoredObject> {
  let before = ''
  for await (const page of listPages(bucket, bucket.objectKey(prefix))) {
    for (const { key: objectKey, sizeBytes } of page) {
      const key = objectKey.slice(bucket.prefix.length)
      if (!key.split('/').every(isKeyPart)) continue
      if (key <= before) throw listError(bucket, 'lists its objects twice or out of order')
      before = key
      yield { key, sizeBytes }
    }
  }
}

/** Whatever lies below a prefix in the bucket, page by page, by its key in the bucket. A list that breaks off is an error. */
export async function* listPages(bucket: Bucket, objectPrefix: string): AsyncGenerator<StoredObject[]> {
  let token: string | undefined
  for (;;) {
    const command = new ListObjectsV2Command({ Bucket: bucket.name, Prefix: objectPrefix, ContinuationToken: token })
    const page = await bucket.guarded(bucket.description, bucket.client.send(command))
    const objects = (page.Contents ?? []).map(({ Key, Size }) => {
      if (!Key?.startsWith(objectPrefix) || Size === undefined) {
        throw listError(bucket, 'lists something that was not asked for, or without its size')
      }
      return { key: Key, sizeBytes: Size }
    })
    yield objects
    if (page.IsTruncated === undefined || (page.KeyCount !== undefined && page.KeyCount !== objects.length)) {
      throw listError(bucket, 'answered with a list that is not whole')
    }
    if (!page.IsTruncated) return
    if (!page.NextContinuationToken || page.NextContinuationToken === token) {
      throw listError(bucket, 'lists some of its objects and does not say how to go on')
    }
    token = page.NextContinuationToken
  }
}

function listError({ description }: Bucket, what: string): StorageError {
  return new StorageError('STORAGE_FAILED', description, `The ${description} ${what}.`)
}
