import { Duplex, Transform } from 'node:stream'
import { constants, createZstdDecompress, type ZstdDecompress, zstdCompress } from 'node:zlib'
import { StorageError } from './storage-error.ts'
import { frameScanner } from './zstd-frame.ts'

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
        return done()
      }
      accept(this, bytes).then(() => done(), done)
    },
    flush(done) {
      finish(this).then(() => done(), done)
    },
  })
}

/**
 * Decompresses a zstd stream of any number of frames, piece by piece in bounded memory.
 * A stream that is damaged, cut short, empty or followed by other bytes ends in ARTIFACT_DAMAGED; `subject` names it.
 */
export function decompress(subject = 'The compressed stream'): Duplex {
  const scanner = frameScanner(subject)
  let decoder: ZstdDecompress | undefined
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

  const feed = async (sink: Duplex, piece: Buffer): Promise<void> => {
    for (const { bytes, isEnd } of scanner.scan(piece)) {
      decoder ??= decoderInto(sink)
      await written(decoder, bytes)
      if (!isEnd) continue
      await ended(decoder)
      decoder = undefined
    }
  }

  return new Duplex({
    highWaterMark: 1024 * 1024,
    write(piece: Buffer, _encoding, done) {
      feed(this, piece).then(
        () => done(),
        (error) => done(error instanceof StorageError ? error : damaged(error)),
      )
    },
    read() {
      decoder?.resume()
    },
    final(done) {
      if (!scanner.isComplete())
        return done(new StorageError('ARTIFACT_DAMAGED', subject, `${subject} is cut short within a zstd frame.`))
      this.push(null)
      done()
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
      else resolve(compressed)
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
