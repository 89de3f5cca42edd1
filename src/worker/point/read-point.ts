import type { Readable, Transform, Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { findRecoveryPoints } from '../../recovery-point/find.ts'
import { manifestDigestsOf, type RecoveryPoint } from '../../recovery-point/recovery-point.ts'
import { type OpenArtifact, openArtifact, readBackArtifact } from '../../storage/artifact.ts'
import type { Storage } from '../../storage/contract.ts'
import { checkPointHeader, type HeaderFacts } from '../../storage/point-header.ts'
import { proveArtifact } from '../../storage/prove-artifact.ts'
import { readSealedJson } from '../../storage/sealed-json.ts'
import { StorageError } from '../../storage/storage-error.ts'
import { checkVault, headerKey, manifestKey } from '../../storage/vault-layout.ts'
import type { Vault } from '../../vault/vault.ts'
import type { WorkerContext } from '../context.ts'
import { counted } from '../streams.ts'
import { identitiesOf, storageOf } from '../subjects.ts'
import { isFormat } from './check-manifest.ts'
import { damageOf } from './damage.ts'
import type { Manifest, ManifestArtifact } from './manifest.ts'

/** A recovery point opened for reading: its vault is the right one and its manifest is the one that was recorded. */
export interface OpenPoint {
  storage: Storage
  /** Whether each reading is a transfer over a network that somebody may pay for. */
  isFar: boolean
  /** Opens its artifacts. */
  identity: OpenArtifact['identity']
  manifest: Manifest
  /**
   * The artifact's plain bytes, after its stored bytes have been checked; the end is checked again as it is read.
   * `onBytes` gets how much of `readBytesOf` has been done.
   */
  open: (artifact: ManifestArtifact, signal: AbortSignal, onBytes: (total: number) => void) => Promise<Readable>
  /** Re-reads an artifact's stored bytes and compares them with its digest; `onBytes` gets how many it has read. */
  readBack: (artifact: ManifestArtifact, look: Look) => Promise<void>
  /** As readBack, and has its plain bytes decoded in the same pass: they are proven when this resolves, not before. */
  prove: (artifact: ManifestArtifact, look: Look, decode: (plain: Readable) => Promise<void>) => Promise<void>
  /**
   * Writes the artifact's plain bytes through `into` in one reading; they are the right ones when this resolves, not before.
   * `onBytes` gets how much of its stored bytes has been read.
   */
  extract: (
    artifact: ManifestArtifact,
    signal: AbortSignal,
    onBytes: (total: number) => void,
    into: readonly [...Transform[], Writable],
  ) => Promise<void>
}

export interface Look {
  signal: AbortSignal
  /** Gets how many stored bytes have been read. */
  onBytes: (total: number) => void
}

/** How many bytes reading an artifact takes: all that is stored, to be checked, then all that it opens to. */
export function readBytesOf({ digest }: ManifestArtifact): number {
  return digest.storedBytes + digest.plainBytes
}

export interface OpenPointRequest {
  point: RecoveryPoint
  vault: Vault
  signal: AbortSignal
  /**
   * Is told what is wrong with the plain header alone, where the manifest beside it is the recorded one: nothing that is read
   * depends on it. Left out, that is thrown too.
   */
  onHeaderDamage?: (sentence: string, point: RecoveryPoint) => void | Promise<void>
}

/** Opens a point; throws ARTIFACT_DAMAGED, STORAGE_OBJECT_MISSING or WRONG_KEY, naming the file, when it is not what was recorded. */
export async function openPoint(
  context: WorkerContext,
  { point, vault, signal, onHeaderDamage }: OpenPointRequest,
): Promise<OpenPoint> {
  const storage = storageOf(context, vault)
  await checkVault(storage, { vaultId: vault.id, recipient: vault.recipient })
  const identity = await identitiesOf(context, vault)
  const manifest = await readManifest(context, { storage, point, identity, signal, onHeaderDamage })
  return {
    storage,
    isFar: vault.location.kind !== 'DIRECTORY',
    identity,
    manifest,
    open: async ({ file, compression, digest }, abort, onBytes) => {
      const how = { identity, compression, digest, signal: abort, onCheckedBytes: onBytes }
      const plain = await openArtifact(storage, `${point.prefix}${file}`, how)
      return counted(plain, (bytes) => onBytes(digest.storedBytes + bytes))
    },
    readBack: ({ file, digest }, look) => readBackArtifact(storage, `${point.prefix}${file}`, digest, look),
    prove: ({ file, compression, digest }, { signal: abort, onBytes }, decode) => {
      const how = { identity, compression, digest, signal: abort }
      return proveArtifact(telling(storage, onBytes), `${point.prefix}${file}`, how, decode)
    },
    extract: ({ file, compression, digest }, abort, onBytes, into) => {
      const how = { identity, compression, digest, signal: abort, onCheckedBytes: onBytes }
      return proveArtifact(storage, `${point.prefix}${file}`, how, (plain) => pipeline([plain, ...into]))
    },
  }
}

/** The storage, with how much of an object has been read told in every reading of it: what may be damage is read a second time. */
function telling(storage: Storage, onBytes: (total: number) => void): Storage {
  return { ...storage, read: async (key, options) => counted(await storage.read(key, options), onBytes) }
}

/** What a point's plain header has to say, from what the catalogue knows of the point. */
export function headerMarkOf(point: RecoveryPoint): { storedSha256: string[]; facts: HeaderFacts } {
  const { id: recoveryPointId, instanceId, vaultId, createdAt } = point
  const facts = { recoveryPointId, instanceId, vaultId, createdAt: createdAt.toISOString() }
  return { storedSha256: manifestDigestsOf(point), facts }
}

/** A point's manifest. Where a new key was wrapped around it since its row was read, that is read once more. */
async function readManifest(
  context: WorkerContext,
  {
    storage,
    point,
    identity,
    signal,
    onHeaderDamage,
  }: {
    storage: Storage
    point: RecoveryPoint
    identity: string[]
    signal: AbortSignal
    onHeaderDamage: OpenPointRequest['onHeaderDamage']
  },
): Promise<Manifest> {
  const key = manifestKey(point.prefix)
  const storedSha256 = manifestDigestsOf(point)
  let manifest: Manifest | undefined
  try {
    manifest = manifestFrom(await readSealedJson(storage, key, { identity, storedSha256, signal }), key, point)
    await checkPointHeader(storage, point.prefix, headerMarkOf(point))
    return manifest
  } catch (cause) {
    if (!(cause instanceof StorageError)) throw cause
    const [now] = await findRecoveryPoints(context.database, [point.id])
    if (now && manifestDigestsOf(now).join() !== storedSha256.join()) {
      return readManifest(context, { storage, point: now, identity, signal, onHeaderDamage })
    }
    const sentence = cause.subject === headerKey(point.prefix) ? damageOf(cause) : undefined
    if (!manifest || sentence === undefined || !onHeaderDamage) throw cause
    await onHeaderDamage(sentence, point)
    return manifest
  }
}

function manifestFrom(value: unknown, key: string, point: RecoveryPoint): Manifest {
  // Its digest is the recorded one, so it is byte for byte what writePoint wrote.
  const manifest = value as Manifest
  if (!isFormat(manifest.format) || manifest.recoveryPointId !== point.id) {
    throw new StorageError('ARTIFACT_DAMAGED', key, `${key} is the manifest of another recovery point or format.`)
  }
  return manifest
}
