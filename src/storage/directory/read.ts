import { constants } from 'node:fs'
import { type FileHandle, lstat, open } from 'node:fs/promises'
import { Readable } from 'node:stream'
import { passOn } from '../../spent-bytes.ts'
import { abortError, destroyOnAbort } from '../abort.ts'
import { StorageError } from '../storage-error.ts'
import { guarded, linkError, pathInside, storageError, systemCode, unlessMissing } from './place.ts'

const pieceBytes = 1024 * 1024

export interface ReadRange {
  start?: number
  end?: number
  signal?: AbortSignal
}

/** Opens a stored file as a stream of the bytes in [start, end), as far as there are any. */
export async function readFile(
  root: string,
  key: string,
  { start = 0, end = Infinity, signal }: ReadRange,
): Promise<Readable> {
  if (signal?.aborted) throw abortError(signal)
  const path = await pathInside(root, key)
  const file = path && (await guarded(key, openFile(path)))
  if (!file) throw new StorageError('STORAGE_OBJECT_MISSING', key, `${key} is not in the vault.`)
  const stream = fileSource(key, file, start, end)
  destroyOnAbort(stream, signal)
  return stream
}

/** The size of a stored file in bytes, or undefined when it is not there. */
export async function sizeOfFile(root: string, key: string): Promise<number | undefined> {
  const path = await pathInside(root, key)
  const found = path && (await guarded(key, unlessMissing(lstat(path))))
  if (!found) return undefined
  if (found.isSymbolicLink()) throw linkError(path)
  if (!found.isFile()) throw notFile(path)
  return found.size
}

async function openFile(path: string): Promise<FileHandle | undefined> {
  let file: FileHandle | undefined
  try {
    // Not to block, should a pipe lie where a file belongs.
    file = await unlessMissing(open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK))
  } catch (error) {
    throw systemCode(error) === 'ELOOP' ? linkError(path) : error
  }
  if (!file || (await file.stat()).isFile()) return file
  await file.close()
  throw notFile(path)
}

function fileSource(key: string, file: FileHandle, start: number, end: number): Readable {
  let position = start
  return new Readable({
    highWaterMark: pieceBytes,
    read() {
      const wanted = Math.min(pieceBytes, end - position)
      if (wanted <= 0) return void this.push(null)
      file.read(Buffer.allocUnsafeSlow(wanted), 0, wanted, position).then(
        ({ bytesRead, buffer }) => {
          position += bytesRead
          this.push(bytesRead === 0 ? null : passOn(buffer.subarray(0, bytesRead)))
        },
        (error) => this.destroy(storageError(key, error)),
      )
    },
    destroy(error, done) {
      file.close().then(
        () => done(error),
        (failure) => done(error ?? storageError(key, failure)),
      )
    },
  })
}

function notFile(path: string): StorageError {
  return new StorageError('STORAGE_FAILED', path, `${path} is in the way: it is not a file.`)
}
