import { type Meter, meterOf } from './meter.ts'

/**
 * What an artifact's plain bytes are: how many, and one digest of them in lower-case hex. BLAKE2b-512 is what is written:
 * it is quicker than sha256 wherever the processor does not know that by itself. Version 0.3 and older wrote sha256.
 */
export type PlainDigest =
  | { plainBytes: number; plainBlake2b: string; plainSha256?: never }
  | { plainBytes: number; plainSha256: string; plainBlake2b?: never }

/** Digests plain bytes as they are digested now. */
export function plainMeter(onBytes?: (total: number) => void): Meter<PlainDigest> {
  return meterOf('blake2b512', blake2bOf, { onBytes })
}

/** Digests plain bytes as they were when the digest was made, so that the two can be compared. */
export function plainMeterLike(
  digest: PlainDigest,
  judge?: (measure: PlainDigest) => Error | undefined,
): Meter<PlainDigest> {
  // One piece ahead: programs that are fed with it get each as it is, not several copied together.
  const how = { judge, aheadBytes: 1 }
  return digest.plainSha256 === undefined ? meterOf('blake2b512', blake2bOf, how) : meterOf('sha256', sha256Of, how)
}

/** Whether two digests, made in the same way, are of the same bytes. */
export function isSamePlain(one: PlainDigest, other: PlainDigest): boolean {
  const isSame = one.plainBlake2b === other.plainBlake2b && one.plainSha256 === other.plainSha256
  return isSame && one.plainBytes === other.plainBytes
}

/** Whether the fields of something read are a digest of the kind that is named, and hold none of the other kind. */
export function isPlainDigest(fields: Record<string, unknown>, kind: 'plainBlake2b' | 'plainSha256'): boolean {
  const { plainBytes, plainBlake2b, plainSha256 } = fields
  const [wanted, other] = kind === 'plainBlake2b' ? [plainBlake2b, plainSha256] : [plainSha256, plainBlake2b]
  const digits = kind === 'plainBlake2b' ? /^[0-9a-f]{128}$/ : /^[0-9a-f]{64}$/
  const isCount = Number.isSafeInteger(plainBytes) && Number(plainBytes) >= 0
  return isCount && other === undefined && typeof wanted === 'string' && digits.test(wanted)
}

function blake2bOf(plainBytes: number, plainBlake2b: string): PlainDigest {
  return { plainBytes, plainBlake2b }
}

function sha256Of(plainBytes: number, plainSha256: string): PlainDigest {
  return { plainBytes, plainSha256 }
}
