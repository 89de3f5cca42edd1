import type { AuditFacts } from '../database/tables/audit.ts'
import type { VaultLocation } from '../database/tables/vault.ts'
import type { SecretBox } from '../secret/secret-box.ts'
import { type BucketInput, checkBucket } from './check-bucket.ts'
import { checkDirectory } from './vault.ts'

/** Where a new vault is to keep its bytes, as its operator says it; the secret is open. */
export type NewLocation = { kind: 'DIRECTORY'; path: string } | ({ kind: 'S3' } & BucketInput)

/** Refuses a place that cannot be one; answers it in its one normal spelling, with its secret sealed. */
export function checkLocation(
  location: NewLocation,
  { secrets, now }: { secrets: Pick<SecretBox, 'seal'>; now: Date },
): VaultLocation {
  if (location.kind === 'DIRECTORY') {
    return { kind: 'DIRECTORY', path: checkDirectory('location.directory', location.path) }
  }
  const { secretAccessKey, ...bucket } = checkBucket(location, 'location.s3.')
  return {
    kind: 'S3',
    ...bucket,
    sealedSecretAccessKey: secrets.seal(secretAccessKey),
    secretSetAt: now.toISOString(),
  }
}

/** Equal for two locations that are one place. */
export function keyOf(location: VaultLocation): string {
  if (location.kind === 'DIRECTORY') return `directory:${location.path}`
  return `s3:${storeOf(location.endpoint)}/${location.bucket}/${location.prefix}`
}

/** Whether one place is the other, or lies within it. */
export function overlap(one: VaultLocation, other: VaultLocation): boolean {
  const [first, second] = [`${keyOf(one)}/`, `${keyOf(other)}/`].map((key) => key.replace(/\/+$/, '/'))
  return Boolean(first && second && (first.startsWith(second) || second.startsWith(first)))
}

/** A place in words for a sentence; holds no secret. */
export function placeOf(location: VaultLocation): string {
  if (location.kind === 'DIRECTORY') return location.path
  const { bucket, prefix, endpoint, region } = location
  const folder = prefix === '' ? '' : `folder ${prefix} of `
  return `${folder}bucket ${bucket} at ${endpoint === null ? `Amazon S3 ${region}` : new URL(endpoint).host}`
}

/** What the audit log says of a place; holds no secret. */
export function factsOf(location: VaultLocation): AuditFacts {
  if (location.kind === 'DIRECTORY') return { directory: location.path }
  const { bucket, prefix, endpoint, region, pathStyle, accessKeyId } = location
  return { bucket, prefix, endpoint, region, pathStyle, accessKeyId }
}

/** A store by one name, however its endpoint is written. */
function storeOf(endpoint: string | null): string {
  const { hostname, port, protocol } = new URL(endpoint ?? 'https://amazonaws.com')
  if (hostname === 'amazonaws.com' || hostname.endsWith('.amazonaws.com')) return 'amazonaws.com'
  return `${hostname}:${port || (protocol === 'https:' ? '443' : '80')}`
}
