import { Duplex, Transform } from 'node:stream'
import { constants, createZstdDecompress, type ZstdDecompress, zstdCompress, zstdDecompress } from 'node:zlib'
import { passOn, spent } from '../spent-bytes.ts'
import { StorageError } from './storage-error.ts'
import { frameScanner, plainSize } from './zstd-frame.ts'

export interface CompressOptions {
  /** zstd's own scale; 1 is the quickest of the usual ones. */
  level?: number
  /** Plain bytes a frame. */
  frameBytes?: number
  /** Frames compressed at the same time, each on a thread of its own. */
  inFlight?: number
}

/**
 * Compresses to independent zstd frames, several at once off the event loop; together they are one valid zstd stream.
 * Every frame carries its plain size and a checksum. Memory stays within about three times frameBytes × inFlight.
 */
export function compress({ level = 1, frameBytes = 2 * 1024 * 1024, inFlight = 3 }: CompressOptions = {}): Transform {
  const idle: Buffer[] = []
  const running: Promise<Buffer>[] = []
  let frame: Buffer = Buffer.alloc(0)
  let filled = 0
  let frames = 0

  const launch = () => {
    const full = frame
    const compressed = compressFrame(full.subarray(0, filled), level).finally(() => idle.push(full))
    // Whoever awaits it gets the failure; until then it is not an unhandled one.
    compressed.catch(() => undefined)
    running.push(compressed)
    frames += 1
    filled = 0
  }

  const accept = async (sink: Transform, bytes: Buffer): Promise<void> => {
    for (let position = 0; position < bytes.length; ) {
      if (filled === 0) frame = idle.pop() ?? Buffer.allocUnsafeSlow(frameBytes)
      const copied = bytes.copy(frame, filled, position)
      position += copied
      filled += copied
      if (filled < frameBytes) continue
      launch()
      if (running.length >= inFlight) sink.push(await running.shift())
    }
    spent(bytes)
  }

  const finish = async (sink: Transform): Promise<void> => {
    if (filled > 0 || frames === 0) launch()
    for (const compressed of running) sink.push(await compressed)
  }

  return new Transform({
    highWaterMark: 1024 * 1024,
    transform(bytes: Buffer, _encoding, done) {
      // Most pieces only fill the frame: those need no turn of the promise queue.
      if (filled > 0 && filled + bytes.length < frameBytes) {
        filled += bytes.copy(frame, filled)
        spent(bytes)
        return done()
      }
      accept(this, bytes).then(() => done(), done)
    },
    flush(done) {
      finish(this).then(() => done(), done)
    },
  })
}

/** What is opened whole: frames as `compress` writes them. */
const mostFrameBytes = 2 * 1024 * 1024
const mostHeldBytes = mostFrameBytes + mostFrameBytes / 256 + 1024
/** What is handed on at once: about what fits into the pipe to a program, so that it works while the next is digested. */
const pieceBytes = 256 * 1024

/**
 * Decompresses a zstd stream of any number of frames in bounded memory: several small frames at once off the event loop,
 * a large one, or one that does not tell its size, piece by piece. A stream that is damaged, cut short, empty or followed
 * by other bytes ends in ARTIFACT_DAMAGED; `subject` names it.
 */
export function decompress(subject = 'The compressed stream', { inFlight = 3 } = {}): Duplex {
  const scanner = frameScanner(subject)
  const running: Promise<Buffer>[] = []
  const idle: Buffer[] = []
  let held: Buffer | undefined
  let heldBytes = 0
  let decoder: ZstdDecompress | undefined
  let isWanted = false
  let wanted: (() => void) | undefined
  const damaged = (cause?: Error) =>
    new StorageError('ARTIFACT_DAMAGED', subject, `${subject} is damaged: zstd cannot decode it.`, { cause })

  const decoderInto = (sink: Duplex): ZstdDecompress => {
    const opened = createZstdDecompress({ chunkSize: 256 * 1024 })
    opened.on('data', (plain: Buffer) => {
      if (!sink.push(plain)) opened.pause()
    })
    opened.on('error', (error) => sink.destroy(damaged(error)))
    return opened
  }

  const emit = async (sink: Duplex, plain: Buffer): Promise<void> => {
    for (let start = 0; start < plain.length; start += pieceBytes) {
      isWanted = false
      if (sink.push(plain.subarray(start, start + pieceBytes)) || isWanted) continue
      await new Promise<void>((resolve) => {
        wanted = resolve
      })
    }
  }

  /** Hands on what was opened, in order, until no more than that many frames are in flight. */
  const settle = async (sink: Duplex, mostRunning: number): Promise<void> => {
    while (running.length > mostRunning) {
      const plain = await running[0]
      running.shift()
      if (plain) await emit(sink, plain)
    }
  }

  const open = async (sink: Duplex, frame: Buffer, heldIn: Buffer, plainBytes: number): Promise<void> => {
    await settle(sink, inFlight - 1)
    const opened = decompressFrame(frame, plainBytes).finally(() => idle.push(heldIn))
    // Whoever awaits it gets the failure; until then it is not an unhandled one.
    opened.catch(() => undefined)
    running.push(opened)
  }

  const stream = async (sink: Duplex, bytes: Buffer): Promise<void> => {
    decoder ??= decoderInto(sink)
    await written(decoder, bytes)
  }

  /** A frame that is held until its end is known. */
  const end = async (sink: Duplex): Promise<void> => {
    const heldIn = held
    const frame = heldIn?.subarray(0, heldBytes)
    const plainBytes = frame && plainSize(frame)
    held = undefined
    heldBytes = 0
    if (heldIn && frame && plainBytes !== undefined && plainBytes <= mostFrameBytes)
      return open(sink, frame, heldIn, plainBytes)
    await settle(sink, 0)
    if (frame) await stream(sink, frame)
    if (decoder) await ended(decoder)
    decoder = undefined
  }

  const feed = async (sink: Duplex, piece: Buffer): Promise<void> => {
    for (const { bytes, isEnd } of scanner.scan(piece)) {
      if (!decoder && heldBytes + bytes.length <= mostHeldBytes) {
        held ??= idle.pop() ?? Buffer.allocUnsafeSlow(mostHeldBytes)
        heldBytes += bytes.copy(held, heldBytes)
      } else {
        await settle(sink, 0)
        if (held) await stream(sink, held.subarray(0, heldBytes))
        held = undefined
        heldBytes = 0
        await stream(sink, bytes)
      }
      if (isEnd) await end(sink)
    }
    spent(piece)
  }

  const finish = async (sink: Duplex): Promise<void> => {
    await settle(sink, 0)
    if (!scanner.isComplete())
      throw new StorageError('ARTIFACT_DAMAGED', subject, `${subject} is cut short within a zstd frame.`)
    sink.push(null)
  }

  const settled = (work: Promise<void>, done: (error?: Error) => void): void => {
    work.then(
      () => done(),
      (error) => done(error instanceof StorageError ? error : damaged(error)),
    )
  }

  return new Duplex({
    highWaterMark: 1024 * 1024,
    write(piece: Buffer, _encoding, done) {
      settled(feed(this, piece), done)
    },
    read() {
      decoder?.resume()
      isWanted = true
      wanted?.()
      wanted = undefined
    },
    final(done) {
      settled(finish(this), done)
    },
    destroy(error, done) {
      decoder?.destroy()
      done(error)
    },
  })
}

function compressFrame(plain: Buffer, level: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const options = {
      // Room for whatever comes out: zstd then works in one pass, without copying what goes in.
      chunkSize: plain.length + Math.ceil(plain.length / 256) + 1024,
      pledgedSrcSize: plain.length,
      params: { [constants.ZSTD_c_compressionLevel]: level, [constants.ZSTD_c_checksumFlag]: 1 },
    }
    zstdCompress(plain, options, (error, compressed) => {
      if (error) reject(new StorageError('STORAGE_FAILED', 'zstd', 'Compressing failed.', { cause: error }))
      else resolve(passOn(compressed))
    })
  })
}

/** A whole frame that says how much it opens to; any other length is a failure. */
function decompressFrame(frame: Buffer, plainBytes: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    // With room to spare zstd works in one pass, straight into what is handed on.
    const options = { chunkSize: plainBytes + 1024, maxOutputLength: plainBytes + 1024 }
    zstdDecompress(frame, options, (error, plain) => {
      if (error) reject(error)
      else if (plain.length !== plainBytes) reject(new Error('The frame opens to another size than it says.'))
      else resolve(passOn(plain))
    })
  })
}

function written(decoder: ZstdDecompress, bytes: Buffer): Promise<void> {
  return new Promise((resolve, reject) => {
    decoder.write(bytes, (error) => (error ? reject(error) : resolve()))
  })
}

function ended(decoder: ZstdDecompress): Promise<void> {
  return new Promise((resolve, reject) => {
    decoder.once('end', resolve)
    decoder.once('error', reject)
    decoder.end()
  })
}
