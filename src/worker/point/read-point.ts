import type { Readable, Transform, Writable } from 'node:stream'
import type { RecoveryPoint } from '../../recovery-point/recovery-point.ts'
import { extractArtifact, openArtifact } from '../../storage/artifact.ts'
import type { Storage } from '../../storage/contract.ts'
import { readSealedJson } from '../../storage/sealed-json.ts'
import { StorageError } from '../../storage/storage-error.ts'
import { checkPointHeader, checkVault, manifestKey } from '../../storage/vault-layout.ts'
import type { Vault } from '../../vault/vault.ts'
import type { WorkerContext } from '../context.ts'
import { counted } from '../streams.ts'
import { storageOf } from '../subjects.ts'
import { type Manifest, type ManifestArtifact, manifestFormat } from './manifest.ts'

/** A recovery point opened for reading: its vault is the right one and its manifest is the one that was recorded. */
export interface OpenPoint {
  storage: Storage
  manifest: Manifest
  /**
   * The artifact's plain bytes, after its stored bytes have been checked; the end is checked again as it is read.
   * `onBytes` gets how much of `readBytesOf` has been done.
   */
  open: (artifact: ManifestArtifact, signal: AbortSignal, onBytes: (total: number) => void) => Promise<Readable>
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

/** How many bytes reading an artifact takes: all that is stored, to be checked, then all that it opens to. */
export function readBytesOf({ digest }: ManifestArtifact): number {
  return digest.storedBytes + digest.plainBytes
}

/** Opens a point; throws ARTIFACT_DAMAGED, STORAGE_OBJECT_MISSING or WRONG_KEY, naming the file, when it is not what was recorded. */
export async function openPoint(
  context: WorkerContext,
  { point, vault, signal }: { point: RecoveryPoint; vault: Vault; signal: AbortSignal },
): Promise<OpenPoint> {
  const storage = storageOf(context, vault)
  await checkVault(storage, { vaultId: vault.id, recipient: vault.recipient })
  const identity = context.secrets.open(vault.sealedIdentity)
  const key = manifestKey(point.prefix)
  const value = await readSealedJson(storage, key, { identity, storedSha256: point.manifestSha256, signal })
  const manifest = manifestFrom(value, key, point)
  await checkPointHeader(storage, point.prefix, { storedSha256: point.manifestSha256 })
  return {
    storage,
    manifest,
    open: async ({ file, compression, digest }, abort, onBytes) => {
      const how = { identity, compression, digest, signal: abort, onCheckedBytes: onBytes }
      const plain = await openArtifact(storage, `${point.prefix}${file}`, how)
      return counted(plain, (bytes) => onBytes(digest.storedBytes + bytes))
    },
    extract: ({ file, compression, digest }, abort, onStoredBytes, into) =>
      extractArtifact(
        storage,
        `${point.prefix}${file}`,
        { identity, compression, digest, signal: abort, onStoredBytes },
        into,
      ),
  }
}

function manifestFrom(value: unknown, key: string, point: RecoveryPoint): Manifest {
  // Its digest is the recorded one, so it is byte for byte what writePoint wrote.
  const manifest = value as Manifest
  if (manifest.format !== manifestFormat || manifest.recoveryPointId !== point.id) {
    throw new StorageError('ARTIFACT_DAMAGED', key, `${key} is the manifest of another recovery point or format.`)
  }
  return manifest
}
