import type { FileHandle } from 'node:fs/promises'
import { Transform } from 'node:stream'
import { readToc, type Toc } from './read-toc.ts'
import { scanBlocks } from './scan-blocks.ts'

const firstLookBytes = 64 * 1024
const offsetIsSet = 2

export interface ArchiveIndex {
  /** Lets an archive pass, unchanged. */
  stream: Transform
  /** Writes what was learnt into a file that holds the archive that passed. */
  writeInto(file: FileHandle): Promise<void>
}

/**
 * Learns, while an archive passes, where the data of each of its entries begins: a pg_dump that writes to a pipe cannot
 * say so, and pg_restore then has to search for what it could go to. What is written into the file is what pg_dump would
 * have; nothing is when the archive is not laid out as expected, which pg_restore is left to judge.
 */
export function indexArchive(): ArchiveIndex {
  const blocks = new Map<number, number>()
  let start = Buffer.alloc(0)
  let lookAt = firstLookBytes
  let toc: Toc | undefined
  let scan: ((piece: Buffer) => void) | undefined
  let isUnknown = false
  const learn = (piece: Buffer, isEnd: boolean) => {
    if (isUnknown) return
    if (scan) return scan(piece)
    start = Buffer.concat([start, piece])
    if (start.length < lookAt && !isEnd) return
    lookAt = start.length * 2
    toc = readToc(start)
    if (!toc) return
    scan = scanBlocks(toc, (dumpId, position) => blocks.set(dumpId, position))
    scan(start.subarray(toc.sizeBytes))
    start = Buffer.alloc(0)
  }
  const tryToLearn = (piece: Buffer, isEnd: boolean) => {
    try {
      learn(piece, isEnd)
    } catch {
      isUnknown = true
    }
  }
  const stream = new Transform({
    highWaterMark: 1024 * 1024,
    transform(piece: Buffer, _encoding, done) {
      tryToLearn(piece, false)
      done(null, piece)
    },
    flush(done) {
      tryToLearn(Buffer.alloc(0), true)
      done()
    },
  })
  return {
    stream,
    async writeInto(file) {
      if (!toc || isUnknown) return
      for (const { dumpId, offsetAt } of toc.entries) {
        const position = blocks.get(dumpId)
        if (position === undefined) continue
        const bytes = Buffer.alloc(1 + toc.offsetBytes)
        bytes.writeUInt8(offsetIsSet)
        // Offsets are 8 bytes long; the highest are of no use to any file there is.
        bytes.writeUIntLE(position, 1, Math.min(6, toc.offsetBytes))
        await file.write(bytes, 0, bytes.length, offsetAt)
      }
    },
  }
}
