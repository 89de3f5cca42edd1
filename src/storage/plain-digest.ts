import { createCipheriv, randomBytes } from 'node:crypto'
import { type Digester, hashDigester, type Meter, meterOf } from './meter.ts'

/**
 * What an artifact's plain bytes are: how many, and a digest of them in lower-case hex. What is written is an AES-256-GMAC
 * under a key that is drawn for this artifact alone, with a nonce of zeros: it tells any other bytes apart, and costs next to
 * nothing. The key tells nothing of the bytes, but whoever knows it can make others with the same digest: that is why
 * it lies in the sealed manifest. (In the plain header of a copy of the metadata it proves what a hash there would: no more.) Version 0.3 and older wrote a sha256.
 */
export type PlainDigest =
  | { plainBytes: number; plainGmac: string; plainGmacKey: string; plainSha256?: never }
  | { plainBytes: number; plainSha256: string; plainGmac?: never; plainGmacKey?: never }

const nonce = Buffer.alloc(12)

/** Digests plain bytes as they are digested now, under a new key. */
export function plainMeter(onBytes?: (total: number) => void): Meter<PlainDigest> {
  const key = randomBytes(32)
  return meterOf(gmacDigester(key), gmacOf(key.toString('hex')), { onBytes })
}

/** Digests plain bytes as they were when the digest was made, so that the two can be compared. */
export function plainMeterLike(
  digest: PlainDigest,
  judge?: (measure: PlainDigest) => Error | undefined,
): Meter<PlainDigest> {
  const how = { judge, isPieceByPiece: true }
  if (digest.plainGmacKey === undefined) return meterOf(hashDigester('sha256'), sha256Of, how)
  return meterOf(gmacDigester(Buffer.from(digest.plainGmacKey, 'hex')), gmacOf(digest.plainGmacKey), how)
}

/** Whether two digests, made in the same way, are of the same bytes. */
export function isSamePlain(one: PlainDigest, other: PlainDigest): boolean {
  const isSame = one.plainGmac === other.plainGmac && one.plainSha256 === other.plainSha256
  return isSame && one.plainGmacKey === other.plainGmacKey && one.plainBytes === other.plainBytes
}

/** Whether the fields of something read are a digest of the kind that is named, and hold none of the other kind. */
export function isPlainDigest(fields: Record<string, unknown>, kind: 'GMAC' | 'SHA256'): boolean {
  const { plainBytes, plainGmac, plainGmacKey, plainSha256 } = fields
  const isCount = Number.isSafeInteger(plainBytes) && Number(plainBytes) >= 0
  if (!isCount) return false
  if (kind === 'SHA256') return isHex(plainSha256, 32) && plainGmac === undefined && plainGmacKey === undefined
  return isHex(plainGmac, 16) && isHex(plainGmacKey, 32) && plainSha256 === undefined
}

/** GMAC is GCM with everything authenticated and nothing enciphered. */
function gmacDigester(key: Buffer): Digester {
  const cipher = createCipheriv('aes-256-gcm', key, nonce)
  return {
    update: (piece) => void cipher.setAAD(piece),
    hex() {
      cipher.final()
      return cipher.getAuthTag().toString('hex')
    },
  }
}

function gmacOf(plainGmacKey: string): (plainBytes: number, plainGmac: string) => PlainDigest {
  return (plainBytes, plainGmac) => ({ plainBytes, plainGmac, plainGmacKey })
}

function sha256Of(plainBytes: number, plainSha256: string): PlainDigest {
  return { plainBytes, plainSha256 }
}

function isHex(value: unknown, bytes: number): boolean {
  return typeof value === 'string' && value.length === 2 * bytes && /^[0-9a-f]*$/.test(value)
}
