import { PutObjectCommand } from '@aws-sdk/client-s3'
import { newProbeKey } from '../probe.ts'
import type { Bucket } from './bucket.ts'
import { statusOf } from './error.ts'
import { removeObject } from './remove.ts'
import { refusesConditions } from './write/commit.ts'

/** Whether the store keeps the condition that an object is not there yet: tried on one that is. Leaves nothing. */
export async function probeConditions(bucket: Bucket): Promise<boolean> {
  const key = newProbeKey()
  const object = { Bucket: bucket.name, Key: bucket.objectKey(key) }
  try {
    await bucket.guarded(key, bucket.client.send(new PutObjectCommand({ ...object, Body: 'first' })))
    const second = new PutObjectCommand({ ...object, Body: 'second', IfNoneMatch: '*' })
    const answer = bucket.client.send(second).then(
      () => false,
      (error) => {
        if (statusOf(error) === 412) return true
        if (refusesConditions(error)) return false
        throw error
      },
    )
    return await bucket.guarded(key, answer)
  } finally {
    await removeObject(bucket, key)
  }
}
