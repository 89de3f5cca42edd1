import { createHash } from 'node:crypto'
import { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { seal, unseal } from './age.ts'
import { type StoredDigest, writeArtifact } from './artifact.ts'
import type { Storage } from './contract.ts'
import { StorageError } from './storage-error.ts'

/** A sealed object as it lies in the vault. */
export interface SealedDigest extends StoredDigest {
  key: string
}

/** Stores a value as indented JSON, one property a line, sealed for the recipients. */
export async function writeSealedJson(
  storage: Storage,
  key: string,
  value: unknown,
  { recipients, signal }: { recipients: readonly string[]; signal?: AbortSignal | undefined },
): Promise<SealedDigest> {
  const written = await writeArtifact(storage, key, { recipients, compression: 'NONE', signal }, async (sink) => {
    sink.end(jsonText(value))
  })
  return { key, storedBytes: written.storedBytes, storedSha256: written.storedSha256 }
}

/**
 * Reads what `writeSealedJson` stored; with a digest given, only if the stored bytes are those.
 * Throws STORAGE_OBJECT_MISSING, ARTIFACT_DAMAGED or WRONG_KEY, naming the key.
 */
export async function readSealedJson(
  storage: Storage,
  key: string,
  { identity, storedSha256, signal }: { identity: string; storedSha256?: string; signal?: AbortSignal | undefined },
): Promise<unknown> {
  const stored = await readAll(storage, key, signal)
  if (storedSha256 !== undefined && createHash('sha256').update(stored).digest('hex') !== storedSha256) {
    const message = `${key} does not hold the bytes that were written: its sha256 differs.`
    throw new StorageError('ARTIFACT_DAMAGED', key, message)
  }
  return parse(key, await unsealBytes(stored, identity, key))
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
  return parse(key, await readAll(storage, key))
}

/** Seals a few bytes in memory. */
export async function sealBytes(plain: Buffer, recipients: readonly string[]): Promise<Buffer> {
  return await buffer(Readable.from([plain]).compose(seal(recipients)))
}

/** Opens a few sealed bytes in memory; `subject` names them in errors. */
export async function unsealBytes(sealed: Buffer, identity: string, subject: string): Promise<Buffer> {
  return await buffer(Readable.from([sealed]).compose(unseal(identity, subject)))
}

async function readAll(storage: Storage, key: string, signal?: AbortSignal): Promise<Buffer> {
  return await buffer(await storage.read(key, signal && { signal }))
}

function jsonText(value: unknown): string {
  return `${JSON.stringify(value, null, 2)}\n`
}

function parse(key: string, bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString('utf8'))
  } catch (cause) {
    throw new StorageError('ARTIFACT_DAMAGED', key, `${key} is damaged: it is not JSON.`, { cause })
  }
}
