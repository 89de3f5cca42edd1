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
    const toc = tocOf(start, source)
    if (toc) return { toc, archive: joined(start, pieces, source) }
    if (piece.done || readBytes > mostBytes) {
      source.destroy()
      throw new EngineError(
        'ARCHIVE_UNREADABLE',
        'The archive ends, or goes on too long, within its table of contents.',
      )
    }
  }
}

function tocOf(start: Buffer, source: Readable): Toc | undefined {
  try {
    return readToc(start)
  } catch (error) {
    source.destroy()
    throw error
  }
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
