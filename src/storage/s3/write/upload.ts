import { createHash, type Hash, randomUUID } from 'node:crypto'
import { Writable } from 'node:stream'
import { type CompletedPart, CreateMultipartUploadCommand, UploadPartCommand } from '@aws-sdk/client-s3'
import { spent } from '../../../spent-bytes.ts'
import { StorageError } from '../../storage-error.ts'
import type { Bucket } from '../bucket.ts'
import { writeIdName } from '../look.ts'
import { abortUpload } from '../sweep.ts'
import { largestObjectBytes, planPart } from './part-plan.ts'

/** Bytes on their way into the bucket, not an object yet. */
export interface Upload {
  /** Takes the bytes; finished when every part has arrived, or when all is in `rest`. */
  sink: Writable
  /** Tells this write from every other. */
  writeId: string
  /** The upload and its parts in their order; undefined when all of the bytes are in `rest`. */
  parts: () => Promise<{ uploadId: string; parts: CompletedPart[] } | undefined>
  /** An object that is smaller than one part. */
  rest: () => { bytes: Buffer; sha256: Hash }
  sizeBytes: () => number
  /** Stops all that is under way, and resolves when the store has confirmed that no part is left. */
  abandon: (deadline: AbortSignal) => Promise<void>
}

/** A part that is being filled. */
interface Part {
  number: number
  bytes: Buffer
  length: number
  sha256: Hash
}

/** Starts taking bytes for an object. Parts are sent as they fill up, a few at once; buffers are used again. */
export function startUpload(bucket: Bucket, key: string, signal: AbortSignal | undefined, writer?: string): Upload {
  const writeId = writer === undefined ? randomUUID() : `${writer}.${randomUUID()}`
  const stop = new AbortController()
  const abortSignal = signal ? AbortSignal.any([signal, stop.signal]) : stop.signal
  const inFlight = new Set<Promise<void>>()
  const sent: CompletedPart[] = []
  const free: Buffer[] = []
  let created: Promise<string> | undefined
  let part: Part | undefined
  let lastNumber = 0
  let sizeBytes = 0
  let failure: unknown

  const newPart = (): Part => {
    lastNumber += 1
    const plan = planPart(lastNumber)
    if (!plan) {
      const message = `${key} is larger than an object in a bucket can be: ${largestObjectBytes} bytes. Use a vault in a directory for it.`
      throw new StorageError('STORAGE_FAILED', key, message)
    }
    let bytes = free.pop()
    // Parts have grown: the smaller buffers are of no more use.
    if (bytes?.length !== plan.sizeBytes) {
      free.length = 0
      bytes = Buffer.allocUnsafeSlow(plan.sizeBytes)
    }
    return { number: lastNumber, bytes, length: 0, sha256: createHash('sha256') }
  }

  const create = async () => {
    const command = new CreateMultipartUploadCommand({
      Bucket: bucket.name,
      Key: bucket.objectKey(key),
      ChecksumAlgorithm: 'SHA256',
      Metadata: { [writeIdName]: writeId },
    })
    const { UploadId } = await bucket.guarded(key, bucket.client.send(command, { abortSignal }), signal)
    if (UploadId) return UploadId
    throw new StorageError('STORAGE_FAILED', key, `The ${bucket.description} started an upload without naming it.`)
  }

  const send = async ({ number, bytes, length, sha256 }: Part) => {
    created ??= create()
    const UploadId = await created
    const ChecksumSHA256 = sha256.digest('base64')
    const command = new UploadPartCommand({
      Bucket: bucket.name,
      Key: bucket.objectKey(key),
      UploadId,
      PartNumber: number,
      Body: bytes.subarray(0, length),
      ContentLength: length,
      ChecksumSHA256,
    })
    const answer = await bucket.guarded(key, bucket.client.send(command, { abortSignal }), signal)
    const isOther = answer.ChecksumSHA256 !== undefined && answer.ChecksumSHA256 !== ChecksumSHA256
    if (!answer.ETag || isOther) {
      const what = isOther ? 'holds other bytes than were sent' : 'took a part without naming it'
      throw new StorageError('STORAGE_FAILED', key, `The ${bucket.description} ${what} (part ${number} of ${key}).`)
    }
    sent[number - 1] = { PartNumber: number, ETag: answer.ETag, ChecksumSHA256 }
    free.push(bytes)
  }

  const ship = async (full: Part) => {
    while (inFlight.size >= (planPart(full.number)?.mostInFlight ?? 1)) await Promise.race(inFlight)
    if (failure) throw failure
    const sending = send(full)
      .catch((error) => {
        failure ??= error
        sink.destroy(error)
      })
      .finally(() => inFlight.delete(sending))
    inFlight.add(sending)
  }

  const take = async (piece: Buffer) => {
    let left = piece
    while (left.length > 0) {
      part ??= newPart()
      const taken = left.subarray(0, part.bytes.length - part.length)
      taken.copy(part.bytes, part.length)
      part.sha256.update(taken)
      part.length += taken.length
      sizeBytes += taken.length
      left = left.subarray(taken.length)
      if (part.length < part.bytes.length) continue
      const full = part
      part = undefined
      await ship(full)
    }
    spent(piece)
  }

  const flush = async () => {
    if (part && lastNumber > 1) await ship(part)
    await Promise.all(inFlight)
    if (failure) throw failure
  }

  const sink = new Writable({
    highWaterMark: 1024 * 1024,
    write: (piece: Buffer, _encoding, done) => void take(piece).then(() => done(), done),
    final: (done) => void flush().then(() => done(), done),
  })

  return {
    sink,
    writeId,
    parts: async () => (created === undefined ? undefined : { uploadId: await created, parts: sent }),
    rest: () => ({
      bytes: part?.bytes.subarray(0, part.length) ?? Buffer.alloc(0),
      sha256: part?.sha256 ?? createHash('sha256'),
    }),
    sizeBytes: () => sizeBytes,
    abandon: async (deadline) => {
      stop.abort()
      await Promise.all(inFlight)
      const uploadId = await created?.catch(() => undefined)
      if (uploadId !== undefined) await abortUpload(bucket, bucket.objectKey(key), uploadId, deadline)
    },
  }
}
