import { pipeline } from 'node:stream/promises'
import { seal, unseal } from './age.ts'
import { damaged, type OpenArtifact, readBackArtifact, type StoredArtifact, type StoredDigest } from './artifact.ts'
import type { Storage } from './contract.ts'
import { meter } from './meter.ts'
import { StorageError } from './storage-error.ts'

/** An artifact as it lies in one vault. */
export interface CopySource {
  storage: Storage
  key: string
  /** Opens it. */
  identity: OpenArtifact['identity']
  digest: StoredDigest
}

/** Where its copy goes, and for whom that is sealed. */
export interface CopyTarget {
  storage: Storage
  key: string
  recipients: readonly string[]
}

/**
 * Stores an artifact of one vault in another, sealed anew for that one; what lies under the sealing stays as it is, packed.
 * The copy is whole and durable when this resolves; nothing is left of it when it rejects: with ARTIFACT_DAMAGED naming the
 * source's key where the source is missing, cut, longer or changed. `onBytes` gets how much of the source has been read.
 */
export async function copyArtifact(
  source: CopySource,
  target: CopyTarget,
  { signal, onBytes }: { signal: AbortSignal; onBytes: (total: number) => void },
): Promise<StoredArtifact> {
  const { storage, key, identity, digest } = source
  const read = meter(onBytes, ({ bytes, sha256 }) =>
    bytes === digest.storedBytes && sha256 === digest.storedSha256
      ? undefined
      : damaged(key, 'does not hold the bytes that were written'),
  )
  const sealing = seal(target.recipients)
  const stored = meter()
  try {
    await target.storage.write(
      target.key,
      async (sink) => {
        const opened = [await storage.read(key), read.stream, unseal(identity, key)]
        await pipeline([...opened, sealing.stream, stored.stream, sink])
      },
      { signal },
    )
  } catch (cause) {
    await explain(cause, source, signal)
    throw cause
  }
  const { bytes: storedBytes, sha256: storedSha256 } = stored.measure()
  return { storedBytes, storedSha256, sealSha256: sealing.sealSha256 }
}

/** Where the source does not open, its bytes are read once more: what they are says more than where the opening stopped. */
async function explain(cause: unknown, { storage, key, digest }: CopySource, signal: AbortSignal): Promise<void> {
  const isAboutSource = cause instanceof StorageError && cause.subject === key
  if (isAboutSource && ['ARTIFACT_DAMAGED', 'STORAGE_OBJECT_MISSING', 'WRONG_KEY'].includes(cause.code)) {
    await readBackArtifact(storage, key, digest, { signal })
  }
}
