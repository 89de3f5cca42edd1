import { createCipheriv, createDecipheriv, createHash, randomBytes } from 'node:crypto'
import { Transform } from 'node:stream'
import { passOn, spent } from '../spent-bytes.ts'
import {
  headerLength,
  type Identities,
  longestHeaderBytes,
  payloadKey,
  unwrapFileKey,
  wrapFileKey,
} from './age-header.ts'
import { StorageError } from './storage-error.ts'

const chunkBytes = 64 * 1024
const tagBytes = 16
const sealedChunkBytes = chunkBytes + tagBytes
const nonceBytes = 16

export interface Sealing {
  stream: Transform
  /**
   * The sha256, in lower-case hex, of what stands in front of the payload: the header, and the payload's nonce. They are drawn
   * anew each time, so it names this one sealed stream: what begins with them and opens is what was sealed then.
   */
  sealSha256: string
}

/** Seals a stream in the age v1 format, so that the identity of any one of the recipients (`age1…`) opens it. */
export function seal(recipients: readonly string[]): Sealing {
  if (recipients.length === 0) throw new RangeError('A stream is sealed for one recipient at least.')
  const fileKey = randomBytes(16)
  const nonce = randomBytes(nonceBytes)
  const front = Buffer.concat([wrapFileKey(fileKey, recipients), nonce])
  const sealChunk = chunkSealer(payloadKey(fileKey, nonce))
  const held = Buffer.allocUnsafe(chunkBytes)
  let heldBytes = 0
  const stream = new Transform({
    highWaterMark: 1024 * 1024,
    construct(done) {
      this.push(front)
      done()
    },
    transform(bytes: Buffer, _encoding, done) {
      let position = 0
      // A full chunk is held until a byte follows it, because the last one is sealed as the last.
      while (bytes.length - position > chunkBytes - heldBytes) {
        const end = position + chunkBytes - heldBytes
        if (heldBytes > 0) bytes.copy(held, heldBytes, position, end)
        for (const part of sealChunk(heldBytes > 0 ? held : bytes.subarray(position, end), false)) this.push(part)
        heldBytes = 0
        position = end
      }
      heldBytes += bytes.copy(held, heldBytes, position)
      spent(bytes)
      done()
    },
    flush(done) {
      for (const part of sealChunk(held.subarray(0, heldBytes), true)) this.push(part)
      done()
    },
  })
  return { stream, sealSha256: sha256Of(front) }
}

/**
 * Opens a stream in the age v1 format. Only authentic bytes come out; a stream that was changed, cut short or
 * lengthened ends in ARTIFACT_DAMAGED, one that none of the identities opens in WRONG_KEY. `subject` names it in errors.
 * With a `sealSha256` only that one sealed stream opens; another one is ARTIFACT_DAMAGED before a byte comes out.
 */
export function unseal(identities: Identities, subject = 'The sealed stream', sealSha256?: string): Transform {
  let openChunk: ((sealed: Buffer, isLast: boolean) => Buffer) | undefined
  let head: Buffer = Buffer.alloc(0)
  const held = Buffer.allocUnsafe(sealedChunkBytes)
  let heldBytes = 0
  const damaged = (what: string) => new StorageError('ARTIFACT_DAMAGED', subject, `${subject} ${what}.`)

  const begin = (bytes: Buffer): Buffer | undefined => {
    head = head.length === 0 ? bytes : Buffer.concat([head, bytes])
    const end = headerLength(head)
    if (end === undefined && head.length > longestHeaderBytes) throw damaged('does not begin with an age header')
    if (end === undefined || head.length < end + nonceBytes) return undefined
    if (sealSha256 !== undefined && sha256Of(head.subarray(0, end + nonceBytes)) !== sealSha256)
      throw damaged('is not the file that was written: it is sealed otherwise')
    const fileKey = unwrapFileKey(head.subarray(0, end), identities, subject)
    openChunk = chunkOpener(payloadKey(fileKey, head.subarray(end, end + nonceBytes)), () =>
      damaged('is damaged or cut short'),
    )
    const rest = head.subarray(end + nonceBytes)
    head = Buffer.alloc(0)
    return rest
  }

  return new Transform({
    highWaterMark: 1024 * 1024,
    transform(bytes: Buffer, _encoding, done) {
      try {
        const sealed = openChunk ? bytes : begin(bytes)
        if (!openChunk || !sealed) return done()
        let position = 0
        // A full chunk is held until a byte follows it, because the last one is opened as the last.
        while (sealed.length - position > sealedChunkBytes - heldBytes) {
          const end = position + sealedChunkBytes - heldBytes
          if (heldBytes > 0) sealed.copy(held, heldBytes, position, end)
          this.push(passOn(openChunk(heldBytes > 0 ? held : sealed.subarray(position, end), false)))
          heldBytes = 0
          position = end
        }
        heldBytes += sealed.copy(held, heldBytes, position)
        spent(bytes)
      } catch (error) {
        return done(asError(error))
      }
      done()
    },
    flush(done) {
      if (!openChunk) return done(damaged('is cut short within its age header'))
      try {
        done(null, openChunk(held.subarray(0, heldBytes), true))
      } catch (error) {
        done(asError(error))
      }
    },
  })
}

/** Answers a sealed chunk in its parts: put together, each would be copied once more. */
function chunkSealer(key: Buffer): (plain: Buffer, isLast: boolean) => Buffer[] {
  const nextNonce = nonces()
  return (plain, isLast) => {
    const cipher = createCipheriv('chacha20-poly1305', key, nextNonce(isLast), { authTagLength: tagBytes })
    const sealed = cipher.update(plain)
    // A stream cipher holds nothing back: this only ends it.
    cipher.final()
    return [passOn(sealed), cipher.getAuthTag()]
  }
}

function chunkOpener(key: Buffer, damaged: () => Error): (sealed: Buffer, isLast: boolean) => Buffer {
  const nextNonce = nonces()
  let isFirst = true
  return (sealed, isLast) => {
    // Only an empty payload may have an empty chunk.
    if (sealed.length < tagBytes || (sealed.length === tagBytes && !isFirst)) throw damaged()
    isFirst = false
    const decipher = createDecipheriv('chacha20-poly1305', key, nextNonce(isLast), { authTagLength: tagBytes })
    decipher.setAuthTag(sealed.subarray(-tagBytes))
    const plain = decipher.update(sealed.subarray(0, -tagBytes))
    try {
      decipher.final()
    } catch {
      throw damaged()
    }
    return plain
  }
}

function nonces(): (isLast: boolean) => Buffer {
  const nonce = Buffer.alloc(12)
  let counter = 0
  return (isLast) => {
    nonce.writeUIntBE(counter++, 5, 6)
    nonce.writeUInt8(isLast ? 1 : 0, 11)
    return nonce
  }
}

function sha256Of(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex')
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error))
}
