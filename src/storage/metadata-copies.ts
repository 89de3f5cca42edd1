import type { ArtifactDigest } from './artifact.ts'
import type { Storage } from './contract.ts'
import { isPlainDigest } from './plain-digest.ts'
import { readPlainJson, writePlainJson } from './sealed-json.ts'
import { StorageError } from './storage-error.ts'

/** Where a vault keeps copies of Holdfast's own metadata. */
export const metadataFolder = 'metadata/'

/** The folder of one attempt to write a copy: its name tells when its job was created. */
export function metadataPrefix({ createdAt, id, attempt }: { createdAt: Date; id: string; attempt: number }): string {
  const moment = createdAt.toISOString().replaceAll(/[-:]|\.\d+/g, '')
  return `${metadataFolder}${moment}.${id}.${attempt}/`
}

/** The copy itself, sealed. */
export function metadataKey(prefix: string): string {
  return `${prefix}metadata.sql.zst.age`
}

/** The plain header that makes the folder a whole copy: it is written last, after the copy has been read back. */
export function metadataHeaderKey(prefix: string): string {
  return `${prefix}metadata.json`
}

/** What is known about a copy without any key. */
export type MetadataHeader = MetadataFacts & ArtifactDigest

interface MetadataFacts {
  format: 'holdfast-metadata'
  /** 1 where the digest of the plain bytes is a sha256, as version 0.3 and older wrote it. */
  formatVersion: 1 | 2
  vaultId: string
  jobId: string
  /** Of the Holdfast that made it. */
  version: string
  /** When its job began to write it, ISO 8601. */
  createdAt: string
  /** Whether the file that opens the secrets in it is part of it. */
  hasKeyFile: boolean
}

/** A folder of a copy as it lies in the vault; one without a header was never finished. */
export interface MetadataFolder {
  prefix: string
  jobId: string
  isWhole: boolean
}

/** All folders of copies, oldest first; throws when they cannot be listed. Files that belong to none are left out. */
export async function listMetadataFolders(storage: Storage): Promise<MetadataFolder[]> {
  const folders = new Map<string, MetadataFolder>()
  for await (const { key } of storage.list(metadataFolder)) {
    const [prefix, jobId] = /^metadata\/\d{8}T\d{6}Z\.([0-9a-f-]{36})\.\d+\//.exec(key) ?? []
    if (prefix === undefined || jobId === undefined) continue
    const isWhole = folders.get(prefix)?.isWhole === true || key === metadataHeaderKey(prefix)
    folders.set(prefix, { prefix, jobId, isWhole })
  }
  return [...folders.values()]
}

/** Makes a folder a whole copy, and makes sure that the header can be read. */
export async function writeMetadataHeader(
  storage: Storage,
  prefix: string,
  header: Omit<MetadataFacts, 'format' | 'formatVersion'> & ArtifactDigest,
): Promise<void> {
  const formatVersion = header.plainSha256 === undefined ? 2 : 1
  await writePlainJson(storage, metadataHeaderKey(prefix), { format: 'holdfast-metadata', formatVersion, ...header })
  await readMetadataHeader(storage, prefix)
}

/** Reads a copy's header; throws ARTIFACT_DAMAGED or STORAGE_OBJECT_MISSING, naming it, for anything else. */
export async function readMetadataHeader(storage: Storage, prefix: string): Promise<MetadataHeader> {
  const key = metadataHeaderKey(prefix)
  const header = await readPlainJson(storage, key)
  if (isMetadataHeader(header)) return header
  throw new StorageError('ARTIFACT_DAMAGED', key, `${key} is not a header that this version can read.`)
}

function isMetadataHeader(value: unknown): value is MetadataHeader {
  if (typeof value !== 'object' || value === null) return false
  const fields = new Map<string, unknown>(Object.entries(value))
  const formatVersion = fields.get('formatVersion')
  const isOf = (type: string, ...names: string[]) => names.every((name) => typeof fields.get(name) === type)
  return (
    isOf('string', 'vaultId', 'jobId', 'version', 'createdAt', 'storedSha256') &&
    isMoment(fields.get('createdAt')) &&
    isOf('number', 'storedBytes') &&
    isOf('boolean', 'hasKeyFile') &&
    fields.get('format') === 'holdfast-metadata' &&
    (formatVersion === 1 || formatVersion === 2) &&
    isPlainDigest(Object.fromEntries(fields), formatVersion === 2 ? 'GMAC' : 'SHA256')
  )
}

function isMoment(value: unknown): boolean {
  const isWritten = typeof value === 'string' && /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/.test(value)
  return isWritten && !Number.isNaN(Date.parse(value))
}
