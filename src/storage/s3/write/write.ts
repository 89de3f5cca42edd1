import type { Writable } from 'node:stream'
import { finished } from 'node:stream/promises'
import { abortError, unlessAborted } from '../../abort.ts'
import { fillSink } from '../../fill.ts'
import { takenError } from '../../storage-error.ts'
import type { Bucket } from '../bucket.ts'
import { headObject } from '../look.ts'
import { commitUpload, undoCommit } from './commit.ts'
import { startUpload } from './upload.ts'

/** How long is spent on leaving nothing behind, ms: less after an abort, whose giver waits. */
const cleanUpMs = { afterFailure: 30_000, afterAbort: 4_000 }

/**
 * Sends an object in parts that no reader sees, and makes them the object in one step, on the condition that its key is
 * free. After a failure the parts are gone; should the store not answer then, removing the folder above sweeps them.
 * Where a writer is named, what is kept with the object of who wrote it begins with that name and a dot.
 */
export async function writeObject(
  bucket: Bucket,
  key: string,
  fill: (sink: Writable) => Promise<void>,
  signal: AbortSignal | undefined,
  writer?: string,
): Promise<void> {
  if (signal?.aborted) throw abortError(signal)
  if (await headObject(bucket, key, signal)) throw takenError(key)
  const upload = startUpload(bucket, key, signal, writer)
  let isCommitting = false
  try {
    await unlessAborted(fillSink(upload.sink, fill, finished(upload.sink)), upload.sink, signal)
    if (signal?.aborted) throw abortError(signal)
    isCommitting = true
    await commitUpload(bucket, key, upload, signal)
  } catch (error) {
    const deadline = AbortSignal.timeout(signal?.aborted ? cleanUpMs.afterAbort : cleanUpMs.afterFailure)
    await upload.abandon(deadline).catch(() => undefined)
    if (isCommitting) await undoCommit(bucket, key, upload, deadline).catch(() => undefined)
    throw error
  }
}
