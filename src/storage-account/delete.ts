import { eq } from 'drizzle-orm'
import { recordAudit } from '../audit/record.ts'
import type { Database } from '../database/connect.ts'
import { carryOut } from '../database/rehearse.ts'
import { storageAccounts, storageContainers } from '../database/tables/storage-account.ts'
import { ConfirmationMismatch, NotFound } from '../refusal.ts'
import { factsOf } from '../vault/location.ts'
import { findPendingRestoreInto } from './find.ts'
import { type StorageAccount, StorageBeingRestoredInto } from './storage-account.ts'

export interface DeleteStorageAccount {
  storageAccountId: string
  /** The account's name, typed by whoever deletes it. */
  confirmName: string
  /** All is checked and answered, and nothing is changed. */
  dryRun: boolean
  actor: string
  now: Date
}

/**
 * Forgets a storage account with its containers; the files in it are not touched. A restore that is being started into it
 * at the same time either comes first, and this is refused, or finds no container.
 */
export async function deleteStorageAccount(
  database: Database,
  { storageAccountId, confirmName, dryRun, actor, now }: DeleteStorageAccount,
): Promise<StorageAccount> {
  return carryOut(database, { dryRun }, async (tx) => {
    const isIt = eq(storageAccounts.id, storageAccountId)
    const [account] = await tx.select().from(storageAccounts).where(isIt).for('update')
    if (!account) throw new NotFound('storage account')
    if (confirmName !== account.name) throw new ConfirmationMismatch('storage account', account.name)
    const containers = await tx
      .select()
      .from(storageContainers)
      .where(eq(storageContainers.storageAccountId, storageAccountId))
    const restore = await findPendingRestoreInto(
      tx,
      containers.map(({ id }) => id),
    )
    if (restore !== undefined) throw new StorageBeingRestoredInto(`storage account "${account.name}"`, restore)
    await tx.delete(storageAccounts).where(isIt)
    await recordAudit(tx, {
      actor,
      action: 'deleteStorageAccount',
      subject: { kind: 'StorageAccount', id: account.id, name: account.name },
      before: { ...factsOf(account.location), containerCount: containers.length },
      now,
    })
    return account
  })
}
