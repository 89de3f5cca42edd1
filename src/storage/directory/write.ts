import { randomUUID } from 'node:crypto'
import { type FileHandle, link, lstat, open, unlink } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { Writable } from 'node:stream'
import { finished } from 'node:stream/promises'
import { spent } from '../../spent-bytes.ts'
import { abortError, unlessAborted } from '../abort.ts'
import { fillSink } from '../fill.ts'
import { takenError } from '../storage-error.ts'
import { guarded, makeFolders, storageError, syncFolder, systemCode, unlessMissing } from './place.ts'

/** Begins the name of every half-written file; no key part may begin so. */
export const partialPrefix = '.partial-'

/**
 * Writes under a temporary name beside the target, makes the bytes durable, and links the target's name to them,
 * which fails when the name is taken. The temporary name is gone afterwards, in success and in failure.
 */
export async function writeFile(
  root: string,
  key: string,
  fill: (sink: Writable) => Promise<void>,
  signal: AbortSignal | undefined,
): Promise<void> {
  if (signal?.aborted) throw abortError(signal)
  const target = await makeFolders(root, key)
  if (await guarded(key, unlessMissing(lstat(target)))) throw takenError(key)
  const partial = join(dirname(target), partialPrefix + randomUUID())
  const file = await guarded(key, open(partial, 'wx', 0o600))
  const sink = fileSink(key, file)
  try {
    await unlessAborted(fillSink(sink, fill, finished(sink)), sink, signal)
    await guarded(key, file.sync())
    await guarded(key, file.close())
    if (signal?.aborted) throw abortError(signal)
    await commit(key, partial, target)
  } finally {
    await file.close().catch(() => undefined)
    await unlink(partial).catch(() => undefined)
  }
}

async function commit(key: string, partial: string, target: string): Promise<void> {
  try {
    await link(partial, target)
  } catch (error) {
    throw systemCode(error) === 'EEXIST' ? takenError(key) : storageError(key, error)
  }
  try {
    await unlink(partial)
    await syncFolder(dirname(target))
  } catch (error) {
    // The name may not outlive a power cut: better none than one that was reported as failed.
    await unlink(target).catch(() => undefined)
    throw storageError(key, error)
  }
}

/** Writes to an open file, which it leaves open. Pieces that wait are written together. */
function fileSink(key: string, file: FileHandle): Writable {
  const write = (pieces: Buffer[], done: (error?: Error) => void) => {
    writeAll(file, pieces).then(
      () => {
        pieces.forEach(spent)
        done()
      },
      (error) => done(storageError(key, error)),
    )
  }
  return new Writable({
    highWaterMark: 4 * 1024 * 1024,
    write: (piece: Buffer, _encoding, done) => write([piece], done),
    writev: (pieces, done) =>
      write(
        pieces.map(({ chunk }) => chunk),
        done,
      ),
  })
}

async function writeAll(file: FileHandle, pieces: readonly Buffer[]): Promise<void> {
  let left = [...pieces]
  for (;;) {
    let { bytesWritten } = await file.writev(left)
    // A nearly full disk takes a part and says so only when asked for the rest.
    while (left[0] && bytesWritten >= left[0].length) bytesWritten -= left.shift()?.length ?? 0
    if (!left[0]) return
    left = [left[0].subarray(bytesWritten), ...left.slice(1)]
  }
}
