import type { FileHandle } from 'node:fs/promises'
import { Readable } from 'node:stream'
import { EngineError } from '../engine-error.ts'
import { readToc, type Toc } from './read-toc.ts'

const firstLookBytes = 64 * 1024
const mostBytes = 512 * 1024 * 1024

/**
 * Reads an archive up to the end of its table of contents, and gives the whole of it back as a stream, with nothing read
 * twice. Throws ARCHIVE_UNREADABLE when it is none, or the stream's own error.
 */
export async function openArchive(source: Readable): Promise<{ toc: Toc; archive: Readable }> {
  const pieces: AsyncIterator<Buffer> = source[Symbol.asyncIterator]()
  try {
    const { toc, start } = await readStart(pieces)
    return { toc, archive: joined(start, pieces, source) }
  } catch (error) {
    source.destroy()
    throw error
  }
}

/** The table of contents of an archive in a file. Throws ARCHIVE_UNREADABLE when it is none. */
export async function readTocOf(file: FileHandle): Promise<Toc> {
  for (let size = firstLookBytes; size <= mostBytes; size *= 2) {
    const { bytesRead, buffer } = await file.read(Buffer.alloc(size), 0, size, 0)
    const toc = readToc(buffer.subarray(0, bytesRead))
    if (toc) return toc
    if (bytesRead < size) break
  }
  throw endless()
}

async function readStart(pieces: AsyncIterator<Buffer>): Promise<{ toc: Toc; start: Buffer }> {
  const read: Buffer[] = []
  let readBytes = 0
  let lookAt = firstLookBytes
  for (;;) {
    const piece = await pieces.next()
    if (!piece.done) {
      read.push(piece.value)
      readBytes += piece.value.length
    }
    if (readBytes < lookAt && !piece.done) continue
    lookAt = readBytes * 2
    const start = Buffer.concat(read)
    const toc = readToc(start)
    if (toc) return { toc, start }
    if (piece.done || readBytes > mostBytes) throw endless()
  }
}

function endless(): EngineError {
  return new EngineError('ARCHIVE_UNREADABLE', 'The archive ends, or goes on too long, within its table of contents.')
}

function joined(start: Buffer, rest: AsyncIterator<Buffer>, source: Readable): Readable {
  const archive = Readable.from(both(start, rest), { objectMode: false })
  archive.once('close', () => source.destroy())
  return archive
}

async function* both(start: Buffer, rest: AsyncIterator<Buffer>): AsyncGenerator<Buffer> {
  yield start
  for (let piece = await rest.next(); !piece.done; piece = await rest.next()) yield piece.value
}
