import { eq } from 'drizzle-orm'
import { recordAudit } from '../audit/record.ts'
import type { Database } from '../database/connect.ts'
import { storageAccounts } from '../database/tables/storage-account.ts'
import { InvalidInput, NotFound } from '../refusal.ts'
import type { SecretBox } from '../secret/secret-box.ts'
import { withAccessKey } from '../vault/location.ts'
import type { StorageAccount } from './storage-account.ts'

export interface UpdateStorageAccountCredentials {
  storageAccountId: string
  accessKeyId: string
  secretAccessKey: string
  secrets: Pick<SecretBox, 'seal'>
  actor: string
  now: Date
}

/** Replaces the access key of a storage account in a bucket; attempts that start from now on use it. The bucket stays the same. */
export async function updateStorageAccountCredentials(
  database: Database,
  { storageAccountId, accessKeyId, secretAccessKey, secrets, actor, now }: UpdateStorageAccountCredentials,
): Promise<StorageAccount> {
  return database.transaction(async (tx) => {
    const isIt = eq(storageAccounts.id, storageAccountId)
    const [before] = await tx.select().from(storageAccounts).where(isIt).for('no key update')
    if (!before) throw new NotFound('storage account')
    if (before.location.kind !== 'S3') {
      throw new InvalidInput(
        'storageAccount',
        `Storage account "${before.name}" is in a directory, which takes no access key.`,
        ['Give the user that runs the worker rights on the directory instead.'],
      )
    }
    const location = withAccessKey(before.location, { accessKeyId, secretAccessKey }, { secrets, now })
    const [updated] = await tx.update(storageAccounts).set({ location }).where(isIt).returning()
    if (!updated) throw new NotFound('storage account')
    await recordAudit(tx, {
      actor,
      action: 'updateStorageAccountCredentials',
      subject: { kind: 'StorageAccount', id: updated.id, name: updated.name },
      before: { accessKeyId: before.location.accessKeyId, secretSetAt: before.location.secretSetAt },
      after: { accessKeyId, secretSetAt: location.secretSetAt },
      now,
    })
    return updated
  })
}
