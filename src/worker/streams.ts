import type { FileHandle } from 'node:fs/promises'
import { type Readable, Transform, type TransformCallback, Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { spent } from '../spent-bytes.ts'
import { forget } from '../storage/forget.ts'

/** The same stream, with the number of bytes that have passed told on the way; an error of the source is its error, also before it is read. */
export function counted(source: Readable, onBytes: (total: number) => void): Readable {
  let total = 0
  const counter = new Transform({
    transform(chunk: Buffer, _encoding, done: TransformCallback) {
      total += chunk.length
      onBytes(total)
      done(null, chunk)
    },
  })
  // Whoever reads the counter learns of a failure from it; until someone does, it must not end the process.
  pipeline(source, counter).catch(() => undefined)
  return counter
}

/** Writes into an open file from its start; the file is left open. A stream of the file's own would close it. */
export function intoFile(file: FileHandle): Writable {
  let position = 0
  const write = async (bytes: Buffer) => {
    for (let at = 0; at < bytes.length; ) {
      const { bytesWritten } = await file.write(bytes, at, bytes.length - at, position)
      at += bytesWritten
      position += bytesWritten
    }
    spent(bytes)
  }
  return new Writable({
    highWaterMark: 4 * 1024 * 1024,
    write: (bytes: Buffer, _encoding, done) => void write(bytes).then(() => done(), done),
  })
}

/** Reads a stream to its end and forgets the bytes; throws what the stream throws. */
export async function drain(stream: Readable): Promise<void> {
  await pipeline(stream, forget())
}
