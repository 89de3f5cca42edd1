import type { Storage } from './contract.ts'
import { jsonText, mostPlainBytes, readPlainJson, readSmall } from './sealed-json.ts'
import { StorageError } from './storage-error.ts'
import { headerKey, manifestKey, type PointHeader } from './vault-layout.ts'

/** Whether a text is an id as this service makes them. */
export function isId(text: unknown): text is string {
  return typeof text === 'string' && /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(text)
}

/**
 * A point's plain header, every field of it checked: whoever can write into the vault could have written it. Throws
 * STORAGE_OBJECT_MISSING or ARTIFACT_DAMAGED, naming the file.
 */
export async function readPointHeader(storage: Storage, prefix: string): Promise<PointHeader> {
  const key = headerKey(prefix)
  const header = await readPlainJson(storage, key)
  if (isPointHeader(header)) return header
  throw new StorageError('ARTIFACT_DAMAGED', key, `${key} is not a header that this version can read.`)
}

/** What the catalogue knows of a point and its header repeats. */
export type HeaderFacts = Pick<PointHeader, 'recoveryPointId' | 'instanceId' | 'vaultId' | 'createdAt'>

/**
 * Makes sure that a point's plain header is, byte for byte, one that was written for it: it names the manifest beside it (one
 * of those given), and says what is known of the point. Throws ARTIFACT_DAMAGED or STORAGE_OBJECT_MISSING, naming the file.
 */
export async function checkPointHeader(
  storage: Storage,
  prefix: string,
  { storedSha256, facts }: { storedSha256: string | readonly string[]; facts?: HeaderFacts },
): Promise<void> {
  const key = headerKey(prefix)
  const damaged = (what: string) => new StorageError('ARTIFACT_DAMAGED', key, `${key} is damaged: ${what}.`)
  const text = (await readSmall(storage, key, { mostBytes: mostPlainBytes })).toString('utf8')
  const header = parsed(text)
  if (!isPointHeader(header)) throw damaged('it is not a header that this version can read')
  const { format, formatVersion, recoveryPointId, instanceId, vaultId, createdAt, manifest } = header
  if (![storedSha256].flat().includes(manifest.storedSha256)) throw damaged('it does not name the manifest beside it')
  const said = { recoveryPointId, instanceId, vaultId, createdAt }
  const written = { format, formatVersion, ...said, ...facts, manifest: digestOf(manifest) }
  if (text !== jsonText(written)) throw damaged('it does not say what is known of the point')
  // While a new key is wrapped around the manifest, either may lie there.
  if (manifest.rewrappedSha256 !== undefined) return
  if ((await storage.size(manifestKey(prefix))) !== manifest.storedBytes)
    throw damaged('it tells another size of the manifest')
}

function digestOf({ storedBytes, storedSha256, rewrappedSha256 }: PointHeader['manifest']): PointHeader['manifest'] {
  return { storedBytes, storedSha256, ...(rewrappedSha256 !== undefined && { rewrappedSha256 }) }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function isPointHeader(value: unknown): value is PointHeader {
  if (typeof value !== 'object' || value === null) return false
  const fields = new Map<string, unknown>(Object.entries(value))
  const areIds = ['recoveryPointId', 'instanceId', 'vaultId'].every((name) => isId(fields.get(name)))
  const createdAt = fields.get('createdAt')
  const isTime = typeof createdAt === 'string' && !Number.isNaN(Date.parse(createdAt))
  const isFormat = fields.get('format') === 'holdfast-point' && fields.get('formatVersion') === 1
  return isFormat && areIds && isTime && isDigest(fields.get('manifest'))
}

function isDigest(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false
  const fields = new Map<string, unknown>(Object.entries(value))
  const sha256s = [fields.get('storedSha256'), fields.get('rewrappedSha256') ?? fields.get('storedSha256')]
  return Number.isSafeInteger(fields.get('storedBytes')) && sha256s.every(isSha256)
}

/** Whether a value is a sha256 in lower-case hex. */
export function isSha256(value: unknown): value is string {
  return typeof value === 'string' && /^[0-9a-f]{64}$/.test(value)
}
