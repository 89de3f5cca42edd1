import { buffer } from 'node:stream/consumers'
import type { Storage } from '../../storage/contract.ts'
import { type FormerKey, sealedFor } from '../../storage/keyring.ts'
import type { PointFolder } from '../../storage/point-folders.ts'
import { readPointHeader } from '../../storage/point-header.ts'
import { isRewrapOf } from '../../storage/rewrap-point.ts'
import { readSmall, requireDigest, unsealBytes } from '../../storage/sealed-json.ts'
import { StorageError } from '../../storage/storage-error.ts'
import { manifestKey } from '../../storage/vault-layout.ts'
import { manifestOf, mostImportedManifestBytes } from '../point/check-manifest.ts'
import type { Manifest } from '../point/manifest.ts'

const ageHeaderBytes = 64 * 1024

/** A recovery point as it was found in a vault, with nothing known of it before. */
export interface FoundPoint {
  prefix: string
  manifest: Manifest
  manifestSha256: string
  /** As stored. */
  manifestBytes: number
  /** Artifacts and manifest, as stored. */
  storedBytes: number
  /** The key that its artifacts are sealed for, and the newest that opens its manifest. */
  recipient: string
  manifestRecipient: string
  /** Whether its manifest is one that has one of these sha256, but for keys that rotations have wrapped around it since. */
  isRewrapOf: (storedSha256: readonly string[]) => boolean
}

/** Where a point is looked for: the keys of the vault are in the order of newest first. */
export interface FoundIn {
  storage: Storage
  vaultId: string
  keys: readonly FormerKey[]
}

/**
 * Reads a folder's header and manifest and makes sure that they are of this vault and folder, and that every artifact is
 * there in the size that was written, sealed for a key of the vault; artifacts are not read. Throws ARTIFACT_DAMAGED,
 * STORAGE_OBJECT_MISSING or WRONG_KEY, naming the file, when that is not so.
 */
export async function readFoundPoint({ storage, vaultId, keys }: FoundIn, folder: PointFolder): Promise<FoundPoint> {
  const { prefix } = folder
  const [, instanceId] = prefix.split('/')
  if (!folder.isWhole) throw unfit(prefix, 'was never finished: it lacks its header or its manifest')
  const header = await readPointHeader(storage, prefix)
  if (header.vaultId !== vaultId || header.instanceId !== instanceId) {
    throw unfit(prefix, 'is of another vault or backup instance, by its header')
  }
  const key = manifestKey(prefix)
  const stored = await readSmall(storage, key, { mostBytes: mostImportedManifestBytes })
  const { storedSha256, rewrappedSha256 = storedSha256 } = header.manifest
  const manifestSha256 = requireDigest(key, stored, [storedSha256, rewrappedSha256])
  const opener = sealedFor(stored.subarray(0, ageHeaderBytes), { keys, subject: key })
  if (!opener) throw new StorageError('WRONG_KEY', key, `${key} is sealed for none of the keys of the vault.`)
  const manifest = manifestOf(parsed(key, await unsealBytes(stored, opener.identity, key)))
  if (!manifest) throw unfit(key, 'is no manifest that this version can read')
  if (manifest.vaultId !== vaultId || manifest.instance.id !== instanceId) {
    throw unfit(key, 'is the manifest of another vault or backup instance')
  }
  if (manifest.recoveryPointId !== header.recoveryPointId) throw unfit(key, 'is the manifest of another recovery point')
  const recipient = await checkArtifacts({ storage, vaultId, keys }, prefix, manifest)
  const storedBytes = manifest.artifacts.reduce((sum, { digest }) => sum + digest.storedBytes, stored.length)
  return {
    prefix,
    manifest,
    manifestSha256,
    manifestBytes: stored.length,
    storedBytes,
    recipient,
    manifestRecipient: opener.recipient,
    isRewrapOf: (storedSha256) => isRewrapOf(stored, { keys, recipient, storedSha256, subject: key }),
  }
}

/** Answers the key that the artifacts are sealed for, by the first of them. */
async function checkArtifacts({ storage, keys }: FoundIn, prefix: string, { artifacts }: Manifest): Promise<string> {
  const sizes = new Map<string, number>()
  for await (const { key, sizeBytes } of storage.list(prefix)) sizes.set(key, sizeBytes)
  for (const { file, digest } of artifacts) {
    const sizeBytes = sizes.get(`${prefix}${file}`)
    if (sizeBytes === undefined) throw unfit(`${prefix}${file}`, 'is missing from the vault')
    if (sizeBytes !== digest.storedBytes) {
      throw unfit(`${prefix}${file}`, `has ${sizeBytes} bytes in the vault where ${digest.storedBytes} were written`)
    }
  }
  const subject = `${prefix}${artifacts[0]?.file}`
  const start = await buffer(await storage.read(subject, { end: ageHeaderBytes }))
  const sealer = sealedFor(start, { keys, subject })
  if (sealer) return sealer.recipient
  throw new StorageError('WRONG_KEY', subject, `${subject} is sealed for none of the keys of the vault.`)
}

function parsed(key: string, plain: Buffer): unknown {
  try {
    return JSON.parse(plain.toString('utf8'))
  } catch {
    throw unfit(key, 'is no JSON')
  }
}

function unfit(subject: string, what: string): StorageError {
  return new StorageError('ARTIFACT_DAMAGED', subject, `${subject} ${what}.`)
}
