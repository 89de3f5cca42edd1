import type { Storage } from './contract.ts'
import { readPlainJson } from './sealed-json.ts'
import { StorageError } from './storage-error.ts'
import { headerKey, type PointHeader } from './vault-layout.ts'

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
