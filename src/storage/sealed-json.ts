import { createHash } from 'node:crypto'
import { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { seal, unseal } from './age.ts'
import type { Identities } from './age-header.ts'
import { type StoredDigest, writeArtifact } from './artifact.ts'
import type { Storage } from './contract.ts'
import { StorageError } from './storage-error.ts'

/** What is longer is no header, and no manifest: it is not taken into memory. */
export const mostPlainBytes = 1024 * 1024
export const mostSealedBytes = 256 * 1024 * 1024
/** Leaves room for the sealing, and for the keys that rotations wrap around it. */
const mostWrittenBytes = mostSealedBytes - 1024 * 1024

/** A sealed object as it lies in the vault. */
export interface SealedDigest extends StoredDigest {
  key: string
}

/**
 * Stores a value as indented JSON, one property a line, sealed for the recipients. Throws STORAGE_FAILED, with nothing
 * written, for what could not be read again because it is too large.
 */
export async function writeSealedJson(
  storage: Storage,
  key: string,
  value: unknown,
  { recipients, signal }: { recipients: readonly string[]; signal?: AbortSignal | undefined },
): Promise<SealedDigest> {
  const text = jsonText(value)
  const sizeBytes = Buffer.byteLength(text)
  if (sizeBytes > mostWrittenBytes) {
    const message = `${key} would have ${sizeBytes} bytes, and more than ${mostWrittenBytes} are never read.`
    throw new StorageError('STORAGE_FAILED', key, message)
  }
  const written = await writeArtifact(storage, key, { recipients, compression: 'NONE', signal }, async (sink) => {
    sink.end(text)
  })
  return { key, storedBytes: written.storedBytes, storedSha256: written.storedSha256 }
}

/**
 * Reads what `writeSealedJson` stored; with a digest given, or several, only if the stored bytes are those of one.
 * Throws STORAGE_OBJECT_MISSING, ARTIFACT_DAMAGED or WRONG_KEY, naming the key.
 */
export async function readSealedJson(
  storage: Storage,
  key: string,
  {
    identity,
    storedSha256,
    signal,
  }: {
    identity: Identities
    storedSha256?: string | readonly string[]
    signal?: AbortSignal | undefined
  },
): Promise<unknown> {
  const stored = await readSmall(storage, key, { mostBytes: mostSealedBytes, signal })
  if (storedSha256 !== undefined) requireDigest(key, stored, storedSha256)
  return parse(key, await unsealBytes(stored, identity, key))
}

/** The sha256 of the bytes, in hex; throws ARTIFACT_DAMAGED, naming the key, unless it is that one, or one of those. */
export function requireDigest(key: string, stored: Buffer, storedSha256: string | readonly string[]): string {
  const digest = createHash('sha256').update(stored).digest('hex')
  if (digest === storedSha256 || (typeof storedSha256 !== 'string' && storedSha256.includes(digest))) return digest
  const message = `${key} does not hold the bytes that were written: its sha256 differs.`
  throw new StorageError('ARTIFACT_DAMAGED', key, message)
}

/** Stores a value as indented JSON that anyone can read. */
export async function writePlainJson(
  storage: Storage,
  key: string,
  value: unknown,
  { signal }: { signal?: AbortSignal | undefined } = {},
): Promise<void> {
  await storage.write(key, async (sink) => void sink.end(jsonText(value)), signal && { signal })
}

/** Reads what `writePlainJson` stored. Throws STORAGE_OBJECT_MISSING or ARTIFACT_DAMAGED, naming the key. */
export async function readPlainJson(storage: Storage, key: string): Promise<unknown> {
  return parse(key, await readSmall(storage, key, { mostBytes: mostPlainBytes }))
}

/** Seals a few bytes in memory. */
export async function sealBytes(plain: Buffer, recipients: readonly string[]): Promise<Buffer> {
  return await buffer(Readable.from([plain]).compose(seal(recipients).stream))
}

/** Opens a few sealed bytes in memory; `subject` names them in errors. */
export async function unsealBytes(sealed: Buffer, identity: Identities, subject: string): Promise<Buffer> {
  return await buffer(Readable.from([sealed]).compose(unseal(identity, subject)))
}

/** A whole object in memory; ARTIFACT_DAMAGED, with no more read than that, when it is larger than it can be. */
export async function readSmall(
  storage: Storage,
  key: string,
  { mostBytes, signal }: { mostBytes: number; signal?: AbortSignal | undefined },
): Promise<Buffer> {
  const stored = await buffer(await storage.read(key, { end: mostBytes + 1, ...(signal && { signal }) }))
  if (stored.length <= mostBytes) return stored
  throw new StorageError('ARTIFACT_DAMAGED', key, `${key} is damaged: it is larger than ${mostBytes} bytes.`)
}

/** A value as every plain or sealed JSON in a vault is written: indented, one property a line. */
export function jsonText(value: unknown): string {
  return `${JSON.stringify(value, null, 2)}\n`
}

function parse(key: string, bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString('utf8'))
  } catch (cause) {
    throw new StorageError('ARTIFACT_DAMAGED', key, `${key} is damaged: it is not JSON.`, { cause })
  }
}
