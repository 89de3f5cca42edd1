import { randomUUID } from 'node:crypto'
import { eq } from 'drizzle-orm'
import { recordAudit } from '../audit/record.ts'
import type { Database } from '../database/connect.ts'
import { storageAccounts } from '../database/tables/storage-account.ts'
import { checkName, NameTaken } from '../refusal.ts'
import type { SecretBox } from '../secret/secret-box.ts'
import { checkLocation, factsOf, keyOf, lockPlaces, type NewLocation, requireFreePlace } from '../vault/location.ts'
import type { NetworkRules } from './network-rules.ts'
import { listVaults } from './resource-instances.ts'
import type { StorageAccount } from './storage-account.ts'

export interface CreateStorageAccount {
  name: string
  location: NewLocation
  /** Which vaults may write into it. */
  rules: NetworkRules
  secrets: Pick<SecretBox, 'seal'>
  actor: string
  now: Date
}

/**
 * Adds a storage account. Its place is touched only by the first restore into it: then a directory is made when it is not
 * there. Throws LocationTaken or LocationTakenByStorageAccount when the place is, contains or lies in another one.
 */
export async function createStorageAccount(
  database: Database,
  { name, location: wanted, rules, secrets, actor, now }: CreateStorageAccount,
): Promise<StorageAccount> {
  checkName('name', name)
  const location = checkLocation(wanted, { secrets, now })
  const { publicNetworkAccess, allowTrustedServices, resourceInstanceIds } = rules
  return database.transaction(async (tx) => {
    await lockPlaces(tx)
    const [namesake] = await tx.select().from(storageAccounts).where(eq(storageAccounts.name, name))
    if (namesake) throw new NameTaken('storage account', name)
    await requireFreePlace(tx, location)
    const [created] = await tx
      .insert(storageAccounts)
      .values({
        id: randomUUID(),
        name,
        kind: location.kind,
        location,
        locationKey: keyOf(location),
        publicNetworkAccess,
        allowTrustedServices,
        createdAt: now,
      })
      .returning()
    if (!created) throw new Error('A storage account that was inserted did not come back.')
    const resourceInstances = await listVaults(tx, created.id, resourceInstanceIds)
    await recordAudit(tx, {
      actor,
      action: 'createStorageAccount',
      subject: { kind: 'StorageAccount', id: created.id, name },
      after: { publicNetworkAccess, allowTrustedServices, resourceInstances },
      detail: factsOf(location),
      now,
    })
    return created
  })
}
