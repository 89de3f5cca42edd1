import type { Readable, Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { destroyOnAbort } from './abort.ts'
import { seal, unseal } from './age.ts'
import type { Identities } from './age-header.ts'
import type { Storage } from './contract.ts'
import { fillSink } from './fill.ts'
import { forget } from './forget.ts'
import { meter } from './meter.ts'
import { isSamePlain, type PlainDigest, plainMeter, plainMeterLike } from './plain-digest.ts'
import { StorageError } from './storage-error.ts'
import { compress, decompress } from './zstd.ts'

/** What the storage does to the bytes before it seals them. */
export type Compression = 'ZSTD' | 'NONE'

/** What is in the vault under a key: its size, and its sha256 in lower-case hex. */
export interface StoredDigest {
  storedBytes: number
  storedSha256: string
}

/** The same of a sealed stream, and what names that (see Sealing); version 0.3 and older wrote none. */
export interface StoredArtifact extends StoredDigest {
  sealSha256?: string
}

/** The stored bytes, and the plain ones that they open to. */
export type ArtifactDigest = StoredArtifact & PlainDigest

export interface WriteArtifact {
  /** `age1…`: everyone who may open it. */
  recipients: readonly string[]
  compression: Compression
  signal?: AbortSignal | undefined
  /** Gets the plain bytes written so far. */
  onPlainBytes?: ((total: number) => void) | undefined
}

/**
 * Compresses, seals and stores what `fill` writes, and digests both sides in the same pass.
 * The artifact is whole and durable when this resolves; nothing is left of it when it rejects.
 */
export async function writeArtifact(
  storage: Storage,
  key: string,
  { recipients, compression, signal, onPlainBytes }: WriteArtifact,
  fill: (sink: Writable) => Promise<void>,
): Promise<ArtifactDigest> {
  const plain = plainMeter(onPlainBytes)
  const sealing = seal(recipients)
  const stored = meter()
  const stages = [...(compression === 'ZSTD' ? [compress()] : []), sealing.stream, stored.stream]
  await storage.write(key, (sink) => fillSink(plain.stream, fill, pipeline([plain.stream, ...stages, sink])), {
    ...(signal && { signal }),
  })
  const { bytes: storedBytes, sha256: storedSha256 } = stored.measure()
  return { ...plain.measure(), storedBytes, storedSha256, sealSha256: sealing.sealSha256 }
}

/**
 * Reads every stored byte of an artifact again and compares size and digest.
 * Throws ARTIFACT_DAMAGED, naming the key and the difference, when it is missing, cut, longer or changed.
 */
export async function readBackArtifact(
  storage: Storage,
  key: string,
  digest: StoredDigest,
  { signal, onBytes }: { signal?: AbortSignal | undefined; onBytes?: ((total: number) => void) | undefined } = {},
): Promise<void> {
  await checkSize(storage, key, digest)
  const stored = meter(onBytes)
  const source = await storage.read(key, { ...(signal && { signal }) })
  await pipeline(source, stored.stream, forget())
  checkStored(key, digest, stored.measure())
}

/** Throws ARTIFACT_DAMAGED, naming the key, when it is missing or has another size than was written. */
export async function checkSize(storage: Storage, key: string, digest: StoredDigest): Promise<void> {
  const sizeBytes = await storage.size(key)
  if (sizeBytes === undefined) throw damaged(key, 'is missing from the vault')
  if (sizeBytes !== digest.storedBytes)
    throw damaged(key, `has ${sizeBytes} bytes in the vault where ${digest.storedBytes} were written`)
}

/** Throws ARTIFACT_DAMAGED, naming the key, when other bytes were read than were written; a sha256 that was not taken is not compared. */
export function checkStored(
  key: string,
  digest: StoredDigest,
  { bytes, sha256 }: { bytes: number; sha256?: string },
): void {
  if (bytes !== digest.storedBytes)
    throw damaged(key, `answered ${bytes} bytes where ${digest.storedBytes} were written`)
  if (sha256 !== undefined && sha256 !== digest.storedSha256)
    throw damaged(key, 'does not hold the bytes that were written: its sha256 differs')
}

/** What an artifact ends in whose plain bytes are not those of its digest; undefined when they are. */
export function plainDamage(key: string, digest: PlainDigest, measure: PlainDigest): StorageError | undefined {
  if (isSamePlain(digest, measure)) return undefined
  return damaged(key, 'opens to other bytes than those that were backed up')
}

export interface OpenArtifact {
  /** `AGE-SECRET-KEY-1…`, or several of which one opens it. */
  identity: Identities
  compression: Compression
  digest: ArtifactDigest
  signal?: AbortSignal | undefined
  /** Gets the stored bytes compared so far, before a plain one comes out. */
  onCheckedBytes?: ((total: number) => void) | undefined
}

/**
 * Opens an artifact for reading its plain bytes: first the whole stored object is compared with its digest, and only then
 * does a byte come out. The stream ends in ARTIFACT_DAMAGED, naming the key, when the plain bytes differ from theirs.
 */
export async function openArtifact(
  storage: Storage,
  key: string,
  { identity, compression, digest, signal, onCheckedBytes }: OpenArtifact,
): Promise<Readable> {
  await readBackArtifact(storage, key, digest, { signal, onBytes: onCheckedBytes })
  const source = await storage.read(key, { ...(signal && { signal }) })
  const stages = [unseal(identity, key), ...(compression === 'ZSTD' ? [decompress(key)] : [])]
  const { stream } = plainMeterLike(digest, (measure) => plainDamage(key, digest, measure))
  // A failure anywhere destroys the last stream with it: whoever reads from there learns of it.
  pipeline([source, ...stages, stream]).catch(() => undefined)
  destroyOnAbort(stream, signal)
  return stream
}

/** The error for an object that is not what was written; `what` goes on the sentence that its key begins. */
export function damaged(key: string, what: string): StorageError {
  return new StorageError('ARTIFACT_DAMAGED', key, `${key} ${what}.`)
}
