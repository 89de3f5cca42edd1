import { createHash } from 'node:crypto'
import { Transform } from 'node:stream'

/** How many bytes went by, and their sha256 in lower-case hex. */
export interface Measure {
  bytes: number
  sha256: string
}

export interface Meter {
  /** Passes bytes on unchanged and measures them. */
  stream: Transform
  /** What went by; to be asked after the stream's end. */
  measure(): Measure
}

/**
 * Counts and digests a stream on its way; `onBytes` gets the total after every piece.
 * At the end `judge` may answer an error, which the stream then ends in.
 */
export function meter(onBytes?: (total: number) => void, judge?: (measure: Measure) => Error | undefined): Meter {
  const hash = createHash('sha256')
  let total = 0
  let measured: Measure | undefined
  const stream = new Transform({
    highWaterMark: 1024 * 1024,
    transform(piece: Buffer, _encoding, done) {
      hash.update(piece)
      total += piece.length
      onBytes?.(total)
      done(null, piece)
    },
    flush(done) {
      measured = { bytes: total, sha256: hash.digest('hex') }
      done(judge?.(measured))
    },
  })
  const measure = () => {
    if (!measured) throw new Error('A stream is measured at its end, not before.')
    return measured
  }
  return { stream, measure }
}
