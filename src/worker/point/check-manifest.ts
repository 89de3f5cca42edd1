import { isKeyPart } from '../../storage/key.ts'
import { isPlainDigest } from '../../storage/plain-digest.ts'
import { isId, isSha256 } from '../../storage/point-header.ts'
import { isDatabase, isRole } from './check-facts.ts'
import { isCount, isListOf, isObject, isOneOf, isText, isTime } from './check-value.ts'
import { type Manifest, manifestFormat, olderManifestFormat } from './manifest.ts'

/** What is longer, as it is stored, is not taken into memory unless its digest is known: the vault may be anybody's. */
export const mostImportedManifestBytes = 64 * 1024 * 1024

const tlsModes = ['DISABLE', 'REQUIRE', 'VERIFY_CA', 'VERIFY_FULL']
const tags = ['DEFAULT', 'DAILY', 'WEEKLY', 'MONTHLY', 'YEARLY']

/**
 * A manifest that is not known by its digest, every field of it checked that anything relies on: whoever knows the vault's
 * public key could have sealed it. Undefined when it is none that this version can read.
 */
export function manifestOf(value: unknown): Manifest | undefined {
  if (!isObject(value) || !isFormat(value.format)) return undefined
  const isOlder = value.format === olderManifestFormat
  const { instance, job, server, tools, databases, roles, artifacts } = value
  const isWhole =
    [value.recoveryPointId, value.vaultId].every(isId) &&
    [value.pointInTime, value.createdAt, value.expiresAt].every(isTime) &&
    isText(value.policyName) &&
    isCount(value.policyVersion ?? 1) &&
    isOneOf(value.tag, tags) &&
    isObject(instance) &&
    isId(instance.id) &&
    isText(instance.name) &&
    isObject(job) &&
    isId(job.id) &&
    isCount(job.attempt) &&
    isServer(server) &&
    isObject(tools) &&
    isText(tools.version) &&
    isCount(tools.major) &&
    isListOf(databases, isDatabase) &&
    isListOf(roles, isRole) &&
    Array.isArray(artifacts) &&
    artifacts.length > 0 &&
    artifacts.every((artifact) => isArtifact(artifact, isOlder)) &&
    new Set(artifacts.map(({ file }) => file)).size === artifacts.length &&
    isCopyOf(value.copyOf, value.recoveryPointId)
  // Each of its fields that is read without its digest being known was looked at just now.
  return isWhole ? (value as unknown as Manifest) : undefined
}

/** Whether this version reads manifests of the format. */
export function isFormat(format: unknown): format is Manifest['format'] {
  return format === manifestFormat || format === olderManifestFormat
}

/** Left out of an original; a copy is never one of itself. */
function isCopyOf(value: unknown, ownId: unknown): boolean {
  if (value === undefined) return true
  return isObject(value) && isId(value.recoveryPointId) && isId(value.vaultId) && value.recoveryPointId !== ownId
}

function isServer(value: unknown): boolean {
  if (!isObject(value)) return false
  const { name, host, port, version, versionNumber, tlsMode = 'DISABLE', maintenanceDatabase = 'postgres' } = value
  const isHost = typeof host === 'string' && /^[A-Za-z0-9_.:][A-Za-z0-9_.:-]{0,254}$/.test(host)
  const isPort = isCount(port) && port >= 1 && port <= 65_535
  const isHow = isOneOf(tlsMode, tlsModes) && isText(maintenanceDatabase)
  return (
    isHow && isText(name) && isHost && isPort && isText(version) && isCount(versionNumber) && versionNumber < 10_000_000
  )
}

/** The file has to be a plain name: what it is joined to stays within the point's own folder. */
function isArtifact(value: unknown, isOlder: boolean): boolean {
  if (!isObject(value) || !isObject(value.digest)) return false
  const { file, kind, database, compression, digest } = value
  const isOf = kind === 'DATABASE' ? isText(database) : kind === 'GLOBALS' && database === null
  const isFile = typeof file === 'string' && isKeyPart(file)
  const isCompression = compression === 'ZSTD' || compression === 'NONE'
  return (
    isFile && isOf && isCompression && isStored(digest, isOlder) && isPlainDigest(digest, isOlder ? 'SHA256' : 'GMAC')
  )
}

/** A copy of an older point has what names its sealing, if this version made it. */
function isStored({ storedBytes, storedSha256, sealSha256 }: Record<string, unknown>, isOlder: boolean): boolean {
  const isSealed = isSha256(sealSha256) || (isOlder && sealSha256 === undefined)
  return isCount(storedBytes) && isSha256(storedSha256) && isSealed
}
