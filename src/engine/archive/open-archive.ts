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
  const { toc, archive, why } = await lookIntoArchive(source)
  if (toc) return { toc, archive }
  source.destroy()
  throw why
}

/** As openArchive, but leaves it to the caller what to do with an archive that cannot be read: `why` is the error then. */
export async function lookIntoArchive(
  source: Readable,
): Promise<{ toc: Toc; archive: Readable; why?: never } | { toc?: undefined; archive: Readable; why: EngineError }> {
  const pieces: AsyncIterator<Buffer> = source[Symbol.asyncIterator]()
  try {
    const { toc, start, why } = await readStart(pieces)
    const archive = joined(start, pieces, source)
    return toc ? { toc, archive } : { archive, why }
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

type Start = { toc: Toc; start: Buffer; why?: never } | { toc?: undefined; start: Buffer; why: EngineError }

async function readStart(pieces: AsyncIterator<Buffer>): Promise<Start> {
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
    const toc = readable(start)
    if (toc instanceof EngineError) return { start, why: toc }
    if (toc) return { toc, start }
    if (piece.done || readBytes > mostBytes) return { start, why: endless() }
  }
}

function readable(start: Buffer): Toc | EngineError | undefined {
  try {
    return readToc(start)
  } catch (error) {
    if (error instanceof EngineError) return error
    throw error
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
