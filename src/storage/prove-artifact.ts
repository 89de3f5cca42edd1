import type { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { destroyOnAbort } from './abort.ts'
import { unseal } from './age.ts'
import { checkSize, checkStored, type OpenArtifact, plainDamage, readBackArtifact } from './artifact.ts'
import type { Storage } from './contract.ts'
import { isFull } from './is-full.ts'
import { counter, meter } from './meter.ts'
import { plainMeterLike } from './plain-digest.ts'
import { StorageError } from './storage-error.ts'
import { decompress } from './zstd.ts'

/**
 * Shows in one pass that an artifact is whole: it is the stream that was sealed, all of it authentic, and opens to the bytes
 * that were backed up, while `decode` reads them. Of an artifact whose sealing has no digest, the stored bytes are digested
 * too. What `decode` has read is worth nothing until this resolves: it is for proofs, and for what is put aside until then; to
 * hand bytes on as they come there is openArtifact. Throws ARTIFACT_DAMAGED, naming the key, whenever a byte is not what was
 * written; else what `decode` throws, or the storage.
 */
export async function proveArtifact(
  storage: Storage,
  key: string,
  { identity, compression, digest, signal, onCheckedBytes }: OpenArtifact,
  decode: (plain: Readable) => Promise<void>,
): Promise<void> {
  await checkSize(storage, key, digest)
  const stored = digest.sealSha256 === undefined ? meter(onCheckedBytes) : counter(onCheckedBytes)
  const plain = plainMeterLike(digest)
  const source = await storage.read(key, { ...(signal && { signal }) })
  const stages = [
    stored.stream,
    unseal(identity, key, digest.sealSha256),
    ...(compression === 'ZSTD' ? [decompress(key)] : []),
  ]
  const flowing = pipeline([source, ...stages, plain.stream])
  // Only now does somebody hear of it when the stream is destroyed.
  destroyOnAbort(plain.stream, signal)
  const decoding = decode(plain.stream).finally(() => plain.stream.destroy())
  const [flowed, decoded] = await Promise.allSettled([flowing, decoding])
  signal?.throwIfAborted()
  const failure = causeOf(flowed, decoded)
  if (failure === undefined) {
    checkStored(key, digest, stored.measure())
    const damage = plainDamage(key, digest, plain.measure())
    if (damage) throw damage
    return
  }
  // Damage shows in many ways, a wrong key among them: what the stored bytes are decides.
  if (mayBeDamage(failure)) await readBackArtifact(storage, key, digest, { signal, onBytes: onCheckedBytes })
  throw failure
}

/** The failure that explains the other: the storage's own, then that of whoever decodes. */
function causeOf(flowed: PromiseSettledResult<void>, decoded: PromiseSettledResult<void>): unknown {
  if (flowed.status === 'rejected' && flowed.reason instanceof StorageError) return flowed.reason
  if (decoded.status === 'rejected') return decoded.reason
  return flowed.status === 'rejected' ? flowed.reason : undefined
}

/** A disk that has no room for what was read tells nothing of it. */
function mayBeDamage(failure: unknown): boolean {
  if (isFull(failure)) return false
  return !(failure instanceof StorageError) || ['ARTIFACT_DAMAGED', 'WRONG_KEY'].includes(failure.code)
}
