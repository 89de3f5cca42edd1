import type { FileHandle } from 'node:fs/promises'
import { Writable } from 'node:stream'
import { passOn, spent } from '../../spent-bytes.ts'
import { EngineError } from '../engine-error.ts'
import { type Block, type Layout, learnLayout } from './learn-layout.ts'
import type { Toc } from './read-toc.ts'
import { blockEnd, blockStart } from './scan-blocks.ts'

const pieceBytes = 1024 * 1024
const offsetIsSet = 2

/** An archive that is read while it is still being written into a file. Disposing of it stops the writing and closes the file. */
export interface GrowingArchive extends AsyncDisposable {
  /** For reading once it is whole. */
  file: FileHandle
  /** Resolves when all of it is in the file and is what was backed up; rejects when it is not, and so does every reading then. */
  whole: Promise<void>
  /** Its table of contents, as soon as it is there; undefined when the archive is not laid out as expected. */
  toc(): Promise<Toc | undefined>
  /** The table of contents as it is in the archive, for a reader who gets blocks after it. */
  head(): AsyncGenerator<Buffer>
  /** An entry's block, as it comes. */
  block(dumpId: number): AsyncGenerator<Buffer>
  /**
   * A block of such rows of an entry as no other reader has taken: they are handed out a MiB or so at a time, in their order. Only where
   * the archive is not compressed.
   */
  rows(dumpId: number): AsyncGenerator<Buffer>
  /** Stops the writing: nobody needs the rest. */
  stop(reason: unknown): void
}

interface Range {
  from: number
  to: number
}

/**
 * Has an archive written into a file and learns on the way where the data of each entry are. A pg_dump that writes to a pipe cannot
 * tell that in its table of contents, and pg_restore has to search then: it is filled in as pg_dump would have once the
 * archive is whole. `bring` writes all of it to the sink and resolves when it is what was backed up.
 */
export function growArchive(
  file: FileHandle,
  bring: (sink: Writable, signal: AbortSignal) => Promise<void>,
): GrowingArchive {
  const stopping = new AbortController()
  const { learn, look } = learnLayout()
  let written = 0
  let failure: { cause: unknown } | undefined
  let moved = Promise.withResolvers<void>()
  const tell = () => {
    moved.resolve()
    moved = Promise.withResolvers()
  }

  const write = async (bytes: Buffer) => {
    learn(bytes, false)
    for (let at = 0; at < bytes.length; ) {
      const { bytesWritten } = await file.write(bytes, at, bytes.length - at, written)
      at += bytesWritten
      written += bytesWritten
    }
    spent(bytes)
    tell()
  }
  const finish = async () => {
    learn(Buffer.alloc(0), true)
    await writeOffsets(file, look())
  }
  const sink = new Writable({
    highWaterMark: 4 * pieceBytes,
    write: (bytes: Buffer, _encoding, done) => void write(bytes).then(() => done(), done),
    final: (done) => void finish().then(() => done(), done),
  })
  let isWhole = false
  const whole = bring(sink, stopping.signal).then(
    () => {
      isWhole = true
      tell()
    },
    (cause) => {
      failure = { cause }
      tell()
      throw cause
    },
  )
  // Whoever awaits it learns of the failure; until somebody does it must not end the process.
  whole.catch(() => undefined)

  /** What can be said at last, asked again whenever there is more of the archive. */
  const until = async <Answer>(ask: () => Answer | undefined): Promise<Answer> => {
    for (;;) {
      if (failure) throw failure.cause
      const answer = ask()
      if (answer !== undefined) return answer
      await moved.promise
    }
  }
  /** A block that is there, or has begun to be. */
  const begun = (dumpId: number) =>
    until(() => {
      const { blocks, isUnknown, hasEnded } = look()
      const block = blocks.get(dumpId)
      if (!block && (isUnknown || hasEnded)) throw withoutData(dumpId)
      return block
    })
  /** Throws when nothing more can come of a block that has not ended. */
  const requireMore = (dumpId: number, block: Block): undefined => {
    const { isUnknown, hasEnded } = look()
    if (isUnknown || (hasEnded && block.end === undefined)) throw withoutData(dumpId)
  }
  async function* read({ from, to }: Range): AsyncGenerator<Buffer> {
    for (let at = from; at < to; ) {
      const size = Math.min(pieceBytes, to - at)
      const { bytesRead, buffer } = await file.read(Buffer.allocUnsafeSlow(size), 0, size, at)
      if (bytesRead === 0) throw new Error('The file of the archive is shorter than what was written into it.')
      yield passOn(buffer.subarray(0, bytesRead))
      at += bytesRead
    }
  }

  return {
    file,
    whole,
    toc: () =>
      until(() => {
        const { toc, isUnknown } = look()
        if (isUnknown) return { toc: undefined }
        return toc && written >= toc.sizeBytes ? { toc } : undefined
      }).then(({ toc }) => toc),
    async *head() {
      const to = await until(() => look().toc?.sizeBytes)
      yield* read({ from: 0, to })
    },
    async *block(dumpId) {
      const block = await begun(dumpId)
      for (let from = block.start; from !== block.end; ) {
        const to = await until(() => {
          const known = Math.min(written, block.end ?? look().scanned)
          if (known > from) return known
          return requireMore(dumpId, block)
        })
        yield* read({ from, to })
        from = to
      }
    },
    async *rows(dumpId) {
      const block = await begun(dumpId)
      yield blockStart(dumpId)
      for (;;) {
        const range = await until(() => takeRows(block, written) ?? requireMore(dumpId, block))
        if (range === 'NONE_LEFT') break
        yield* read(range)
      }
      yield blockEnd
    },
    stop: (reason) => stopping.abort(reason),
    async [Symbol.asyncDispose]() {
      if (!isWhole) stopping.abort(new Error('Nobody needs the rest of the archive.'))
      await whole.catch(() => undefined)
      await file.close()
    },
  }
}

function withoutData(dumpId: number): EngineError {
  return new EngineError('ARCHIVE_UNREADABLE', `The archive has no data where those of its entry ${dumpId} should be.`)
}

/** The next rows of a block that are in the file and nobody has taken; undefined while there may be more. */
function takeRows(block: Block, written: number): Range | 'NONE_LEFT' | undefined {
  const cut = block.cuts[block.taken]
  const rowsEnd = block.end === undefined ? undefined : block.end - blockEnd.length
  const to = cut ?? rowsEnd
  if (to === undefined || to > written) return undefined
  const from = block.takenTo
  if (cut !== undefined) block.taken += 1
  block.takenTo = to
  return from === to ? 'NONE_LEFT' : { from, to }
}

/** Fills in where the data of each entry begin. */
async function writeOffsets(file: FileHandle, { toc, blocks, isUnknown }: Layout): Promise<void> {
  if (!toc || isUnknown) return
  for (const { dumpId, offsetAt } of toc.entries) {
    const block = blocks.get(dumpId)
    if (!block) continue
    const bytes = Buffer.alloc(1 + toc.offsetBytes)
    bytes.writeUInt8(offsetIsSet)
    // Offsets are 8 bytes long; the highest are of no use to any file there is.
    bytes.writeUIntLE(block.start, 1, Math.min(6, toc.offsetBytes))
    await file.write(bytes, 0, bytes.length, offsetAt)
  }
}
