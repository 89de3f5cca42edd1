import { Writable } from 'node:stream'
import { spent } from '../spent-bytes.ts'

/** The end of a stream whose bytes have been looked at on the way. */
export function forget(): Writable {
  return new Writable({
    highWaterMark: 1024 * 1024,
    write(piece: Buffer, _encoding, done) {
      spent(piece)
      done()
    },
  })
}
