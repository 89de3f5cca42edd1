import { Readable } from 'node:stream'
import { GetObjectCommand } from '@aws-sdk/client-s3'
import { abortError, destroyOnAbort } from '../abort.ts'
import { StorageError } from '../storage-error.ts'
import type { Bucket } from './bucket.ts'
import { statusOf } from './error.ts'
import { findObject } from './look.ts'

export interface ReadRange {
  start?: number
  end?: number
  signal?: AbortSignal
}

/** A part of an object on its way, as far as the store says. */
interface Answer {
  body: Readable
  etag: string | undefined
  /** Where the bytes end that were asked for and are there. */
  end: number
}

/**
 * Opens an object as a stream of the bytes in [start, end), as far as there are any. When the connection breaks, or waits
 * too long, the rest of the very same object is asked for again, a few times without progress; a short answer never ends
 * the stream as if it were whole.
 */
export async function readObject(bucket: Bucket, key: string, range: ReadRange): Promise<Readable> {
  const { start = 0, end = Infinity, signal } = range
  if (signal?.aborted) throw abortError(signal)
  const first = start < end ? await ask(bucket, key, { start, end, signal }) : undefined
  if (!first && !(await findObject(bucket, key, signal))) throw missing(bucket, key)
  const stream = first ? answerStream(bucket, key, first, start) : Readable.from([])
  destroyOnAbort(stream, signal)
  return stream
}

function answerStream(bucket: Bucket, key: string, first: Answer, start: number): Readable {
  const stop = new AbortController()
  const pieces = bytesOf(bucket, key, { first, start, signal: stop.signal })
  return new Readable({
    highWaterMark: 1024 * 1024,
    read() {
      pieces.next().then(
        ({ done, value }) => this.push(done ? null : value),
        (error) => this.destroy(error),
      )
    },
    destroy(error, done) {
      stop.abort()
      done(error)
    },
  })
}

/** Follows an answer to the end of what was asked for, through as many answers as it takes. */
async function* bytesOf(
  bucket: Bucket,
  key: string,
  { first, start, signal }: { first: Answer; start: number; signal: AbortSignal },
): AsyncGenerator<Buffer> {
  const { end, etag } = first
  let { body } = first
  let position = start
  for (let failures = 1; ; failures++) {
    const before = position
    let cause: unknown
    destroyOnAbort(body, signal)
    try {
      for await (const piece of body) {
        position += piece.length
        if (position > end) throw new StorageError('STORAGE_FAILED', key, `${key} came with more bytes than it has.`)
        yield piece
      }
    } catch (error) {
      cause = error
    }
    if (cause instanceof StorageError || signal.aborted) throw cause
    if (position === end) return
    if (position > before) failures = 1
    const next = failures < bucket.patience.attempts && (await ask(bucket, key, { start: position, end, etag, signal }))
    if (!next) throw broken(bucket, key, { position, end, cause })
    body = next.body
  }
}

/** Asks for a range; undefined when the object ends before it. */
async function ask(
  bucket: Bucket,
  key: string,
  {
    start,
    end,
    etag,
    signal,
  }: { start: number; end: number; etag?: string | undefined; signal: AbortSignal | undefined },
): Promise<Answer | undefined> {
  const isWhole = start === 0 && end === Infinity
  const command = new GetObjectCommand({
    Bucket: bucket.name,
    Key: bucket.objectKey(key),
    ...(!isWhole && { Range: `bytes=${start}-${end === Infinity ? '' : end - 1}` }),
    ...(etag !== undefined && { IfMatch: etag }),
  })
  const request = bucket.client.send(command, signal && { abortSignal: signal }).catch((error) => {
    if (statusOf(error) === 416) return undefined
    if (statusOf(error) !== 412) throw error
    throw new StorageError('STORAGE_FAILED', key, `${key} was replaced in the ${bucket.description} while it was read.`)
  })
  const answer = await bucket.guarded(key, request, signal)
  if (!answer) return undefined
  const { Body: body, ContentLength: length, ContentRange: range, ETag } = answer
  const isAsked = isWhole || range?.startsWith(`bytes ${start}-`)
  if (!(body instanceof Readable) || length === undefined || !isAsked || start + length > end) {
    if (body instanceof Readable) body.destroy()
    const message = `The ${bucket.description} did not answer the part of ${key} that was asked for.`
    throw new StorageError('STORAGE_FAILED', key, message)
  }
  return { body, etag: ETag, end: start + length }
}

function broken(bucket: Bucket, key: string, facts: { position: number; end: number; cause: unknown }): StorageError {
  const { position, end, cause } = facts
  const reason = cause === undefined ? 'the answer was too short' : bucket.errorOf(key, cause).message
  return new StorageError('STORAGE_UNREACHABLE', key, `${key} broke off at byte ${position} of ${end}: ${reason}`)
}

function missing(bucket: Bucket, key: string): StorageError {
  return new StorageError('STORAGE_OBJECT_MISSING', key, `${key} is not in the ${bucket.description}.`)
}
