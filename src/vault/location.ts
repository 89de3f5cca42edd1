import { sql } from 'drizzle-orm'
import type { Database } from '../database/connect.ts'
import type { AuditFacts } from '../database/tables/audit.ts'
import { storageAccounts } from '../database/tables/storage-account.ts'
import { type BucketLocation, type VaultLocation, vaults } from '../database/tables/vault.ts'
import type { SecretBox } from '../secret/secret-box.ts'
import { LocationTakenByStorageAccount } from '../storage-account/storage-account.ts'
import { type BucketInput, checkAccessKey, checkBucket } from './check-bucket.ts'
import { checkDirectory, LocationTaken } from './vault.ts'

/** Where a new vault or storage account is to keep its bytes, as its operator says it; the secret is open. */
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

/** The bucket with another access key; throws InvalidInput for one that no store hands out. */
export function withAccessKey(
  location: BucketLocation,
  { accessKeyId, secretAccessKey }: { accessKeyId: string; secretAccessKey: string },
  { secrets, now }: { secrets: Pick<SecretBox, 'seal'>; now: Date },
): BucketLocation {
  checkAccessKey({ accessKeyId, secretAccessKey })
  const sealedSecretAccessKey = secrets.seal(secretAccessKey)
  return { ...location, accessKeyId, sealedSecretAccessKey, secretSetAt: now.toISOString() }
}

/** Until the transaction ends no other place is taken: two places can lie in each other without being equal. */
export async function lockPlaces(tx: Database): Promise<void> {
  await tx.execute(sql`lock table ${vaults}, ${storageAccounts} in share row exclusive mode`)
}

/**
 * Refuses a place that is, contains or lies in that of a vault (LocationTaken) or of a storage account
 * (LocationTakenByStorageAccount). What it says holds until the transaction ends only after lockPlaces.
 */
export async function requireFreePlace(
  tx: Database,
  location: VaultLocation,
  { except }: { except?: string } = {},
): Promise<void> {
  const others = (await tx.select().from(vaults)).filter(({ id }) => id !== except)
  const vault = others.find((each) => overlap(each.location, location))
  if (vault) throw new LocationTaken(placeOf(location), vault, placeOf(vault.location))
  const account = (await tx.select().from(storageAccounts)).find((each) => overlap(each.location, location))
  if (account) throw new LocationTakenByStorageAccount(placeOf(location), account, placeOf(account.location))
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
