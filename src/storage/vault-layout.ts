import type { Compression } from './artifact.ts'
import type { Storage } from './contract.ts'
import { isProbeKey } from './probe.ts'
import { jsonText, readSmall, type SealedDigest, writePlainJson, writeSealedJson } from './sealed-json.ts'
import { selfRestoreText } from './self-restore.ts'
import { StorageError } from './storage-error.ts'
import { isKeyOf, newVaultHeader, readVaultHeader, vaultHeaderKey } from './vault-header.ts'

const selfRestoreKey = 'RESTORE.md'

/** The folder of one backup attempt; a later attempt of the same job writes elsewhere. */
export function pointPrefix(instanceId: string, jobId: string, attempt: number): string {
  return `points/${instanceId}/${jobId}.${attempt}/`
}

/** The job that such a folder is named after; "" for one that somebody else has made. */
export function jobIdOf(prefix: string): string {
  return prefix.split('/')[2]?.split('.')[0] ?? ''
}

/** The archive of one database, numbered from 1. */
export function artifactKey(prefix: string, position: number, compression: Compression): string {
  return `${prefix}${String(position).padStart(4, '0')}.dump${compression === 'ZSTD' ? '.zst' : ''}.age`
}

/** Roles and tablespaces as SQL. */
export function globalsKey(prefix: string): string {
  return `${prefix}globals.sql.zst.age`
}

/** Everything about the point, sealed. */
export function manifestKey(prefix: string): string {
  return `${prefix}manifest.json.age`
}

/** The plain header that makes the folder a whole point: it is written last. */
export function headerKey(prefix: string): string {
  return `${prefix}point.json`
}

/** What is known about a point without any key. */
export interface PointHeader {
  format: 'holdfast-point'
  formatVersion: 1
  recoveryPointId: string
  instanceId: string
  vaultId: string
  createdAt: string
  /**
   * The sealed manifest as stored: size in bytes, sha256 in hex. While another key is being wrapped around it, also the
   * sha256 that it has then.
   */
  manifest: { storedBytes: number; storedSha256: string; rewrappedSha256?: string }
}

/** Writes a point's sealed manifest; the folder is no recovery point before its header is written too. */
export async function writeManifest(
  storage: Storage,
  prefix: string,
  { manifest, ...how }: { manifest: unknown; recipients: readonly string[]; signal?: AbortSignal | undefined },
): Promise<SealedDigest> {
  return writeSealedJson(storage, manifestKey(prefix), manifest, how)
}

export interface WritePointHeader {
  header: Pick<PointHeader, 'recoveryPointId' | 'instanceId' | 'vaultId'>
  manifest: Pick<SealedDigest, 'storedBytes' | 'storedSha256'>
  createdAt: Date
  signal?: AbortSignal | undefined
}

/** Writes a point's plain header, last of all; the folder is a recovery point when this resolves. */
export async function writePointHeader(
  storage: Storage,
  prefix: string,
  { signal, ...facts }: WritePointHeader,
): Promise<void> {
  await writePlainJson(storage, headerKey(prefix), pointHeaderOf(facts), { signal })
}

/** Puts a right header in the place of a damaged one, or where there is none. */
export async function putPointHeader(storage: Storage, prefix: string, facts: WritePointHeader): Promise<void> {
  const key = headerKey(prefix)
  if ((await storage.size(key)) === undefined) return writePointHeader(storage, prefix, facts)
  await storage.replace(key, Buffer.from(jsonText(pointHeaderOf(facts))))
}

function pointHeaderOf({
  header,
  manifest: { storedBytes, storedSha256 },
  createdAt,
}: Omit<WritePointHeader, 'signal'>): PointHeader {
  return {
    format: 'holdfast-point',
    formatVersion: 1,
    ...header,
    createdAt: createdAt.toISOString(),
    manifest: { storedBytes, storedSha256 },
  }
}

export interface VaultMark {
  vaultId: string
  /** `age1…` */
  recipient: string
}

/**
 * Makes a place the vault, or makes sure that it is this vault already. Throws WRONG_KEY when it is another vault or
 * sealed for another key, STORAGE_OBJECT_EXISTS when other things lie there.
 */
export async function initialiseVault(
  storage: Storage,
  { vaultId, recipient, now }: VaultMark & { now: Date },
): Promise<void> {
  await storage.prepare()
  if (!(await readVaultHeader(storage))) {
    await refuseForeign(storage)
    await writeUnlessThere(storage, selfRestoreKey, selfRestoreText({ vaultId, recipient }))
    const header = await newVaultHeader(vaultId, recipient, now)
    await writeUnlessThere(storage, vaultHeaderKey, jsonText(header))
    await checkVault(storage, { vaultId, recipient })
    // A set-up of another vault that was cut short may have left its own there.
    await refreshSelfRestore(storage)
    return
  }
  await checkVault(storage, { vaultId, recipient })
}

/**
 * Whether a place is this vault already, or could be made it; writes nothing. Throws WRONG_KEY and STORAGE_OBJECT_EXISTS as
 * initialiseVault does, and STORAGE_UNREACHABLE when there is no such place.
 */
export async function isVault(storage: Storage, mark: VaultMark): Promise<boolean> {
  if (await readVaultHeader(storage)) {
    await checkVault(storage, mark)
    return true
  }
  await refuseForeign(storage)
  return false
}

/**
 * Makes sure that a place holds this vault and not another, or none: an empty folder is a disk that is not mounted
 * (STORAGE_UNREACHABLE). Throws WRONG_KEY for another vault, or a key that never was the vault's.
 */
export async function checkVault(storage: Storage, { vaultId, recipient }: VaultMark): Promise<void> {
  const place = storage.description
  const header = await readVaultHeader(storage)
  if (!header) {
    const message = `The ${place} holds no vault (no ${vaultHeaderKey}): is its disk mounted?`
    throw new StorageError('STORAGE_UNREACHABLE', place, message)
  }
  if (header.vaultId !== vaultId)
    throw new StorageError('WRONG_KEY', place, `The ${place} is vault ${header.vaultId}, not vault ${vaultId}.`)
  // A process that began before the key was rotated goes on with the former one, which is as good.
  if (!isKeyOf(header, recipient)) {
    const message = `The ${place} is sealed for ${header.recipient}, not for this vault's key ${recipient}.`
    throw new StorageError('WRONG_KEY', place, message)
  }
}

/** What a set-up that was cut short may have left is not foreign. */
async function refuseForeign(storage: Storage): Promise<void> {
  for await (const { key } of storage.list('')) {
    if (key === selfRestoreKey || key === vaultHeaderKey || isProbeKey(key)) continue
    // Another process may have set the vault up and used it meanwhile.
    if (await readVaultHeader(storage)) return
    const message = `The ${storage.description} holds other things (${key}) and is no vault: choose an empty place.`
    throw new StorageError('STORAGE_OBJECT_EXISTS', storage.description, message)
  }
}

/**
 * Brings the text in the vault's root up to date: it names the vault's present key, and checks what this version writes.
 * Nothing is written when it does.
 */
export async function refreshSelfRestore(storage: Storage): Promise<void> {
  const header = await readVaultHeader(storage)
  if (!header) return
  const text = selfRestoreText(header)
  const isThere = (await storage.size(selfRestoreKey)) !== undefined
  if (!isThere) return await writeUnlessThere(storage, selfRestoreKey, text)
  const present = await readSmall(storage, selfRestoreKey, { mostBytes: 1024 * 1024 })
  if (present.toString() !== text) await storage.replace(selfRestoreKey, Buffer.from(text))
}

async function writeUnlessThere(storage: Storage, key: string, text: string): Promise<void> {
  try {
    await storage.write(key, async (sink) => void sink.end(text))
  } catch (error) {
    if (!(error instanceof StorageError && error.code === 'STORAGE_OBJECT_EXISTS')) throw error
  }
}
