import { createHash } from 'node:crypto'
import { Transform } from 'node:stream'

/** How many bytes went by, and their sha256 in lower-case hex. */
export interface Measure {
  bytes: number
  sha256: string
}

/** What a stream is digested with. */
export interface Digester {
  update(piece: Buffer): void
  /** Ends it; lower case. */
  hex(): string
}

export interface Meter<Measured = Measure> {
  /** Passes bytes on unchanged and measures them. */
  stream: Transform
  /** What went by; to be asked after the stream's end. */
  measure(): Measured
}

/**
 * Counts and digests a stream on its way; `onBytes` gets the total after every piece.
 * At the end `judge` may answer an error, which the stream then ends in.
 */
export function meter(onBytes?: (total: number) => void, judge?: (measure: Measure) => Error | undefined): Meter {
  return meterOf(hashDigester('sha256'), (bytes, sha256): Measure => ({ bytes, sha256 }), { onBytes, judge })
}

/** Counts a stream on its way, and digests nothing. */
export function counter(onBytes?: (total: number) => void): Meter<{ bytes: number }> {
  return meterOf({ update() {}, hex: () => '' }, (bytes) => ({ bytes }), { onBytes })
}

/** A hash that node knows by that name. */
export function hashDigester(algorithm: string): Digester {
  const hash = createHash(algorithm)
  return { update: (piece) => void hash.update(piece), hex: () => hash.digest('hex') }
}

/** As meter, with another digest; `measured` says what becomes of it. */
export function meterOf<Measured>(
  digester: Digester,
  measured: (bytes: number, hex: string) => Measured,
  {
    onBytes,
    judge,
    isPieceByPiece = false,
  }: {
    onBytes?: ((total: number) => void) | undefined
    judge?: ((measure: Measured) => Error | undefined) | undefined
    /** Its reader gets every piece as it is, and one is held ready. Else one that asks for all that is there gets it in one piece, as a copy. */
    isPieceByPiece?: boolean
  } = {},
): Meter<Measured> {
  let total = 0
  let result: { measure: Measured } | undefined
  const stream = new Transform({
    writableHighWaterMark: 1024 * 1024,
    readableHighWaterMark: isPieceByPiece ? 1 : 1024 * 1024,
    readableObjectMode: isPieceByPiece,
    transform(piece: Buffer, _encoding, done) {
      digester.update(piece)
      total += piece.length
      onBytes?.(total)
      done(null, piece)
    },
    flush(done) {
      const measure = measured(total, digester.hex())
      result = { measure }
      done(judge?.(measure))
    },
  })
  const measure = () => {
    if (!result) throw new Error('A stream is measured at its end, not before.')
    return result.measure
  }
  return { stream, measure }
}
