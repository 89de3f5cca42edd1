import { eq } from 'drizzle-orm'
import { recordAudit } from '../audit/record.ts'
import type { Database } from '../database/connect.ts'
import { carryOut } from '../database/rehearse.ts'
import { storageAccounts, storageContainers } from '../database/tables/storage-account.ts'
import { ConfirmationMismatch, NotFound } from '../refusal.ts'
import { findPendingRestoreInto, findStorageContainers } from './find.ts'
import { StorageBeingRestoredInto, type StorageContainer } from './storage-account.ts'

export interface DeleteStorageContainer {
  containerId: string
  /** The container's name, typed by whoever deletes it. */
  confirmName: string
  /** All is checked and answered, and nothing is changed. */
  dryRun: boolean
  actor: string
  now: Date
}

/** Forgets a container; the files in it are not touched. Refused while a restore into it has not ended. */
export async function deleteStorageContainer(
  database: Database,
  { containerId, confirmName, dryRun, actor, now }: DeleteStorageContainer,
): Promise<StorageContainer> {
  return carryOut(database, { dryRun }, async (tx) => {
    const [seen] = await findStorageContainers(tx, [containerId])
    if (!seen) throw new NotFound('storage container')
    const [account] = await tx
      .select()
      .from(storageAccounts)
      .where(eq(storageAccounts.id, seen.storageAccountId))
      .for('share')
    const isIt = eq(storageContainers.id, containerId)
    const [container] = await tx.select().from(storageContainers).where(isIt).for('update')
    if (!account || !container) throw new NotFound('storage container')
    if (confirmName !== container.name) throw new ConfirmationMismatch('container', container.name)
    const restore = await findPendingRestoreInto(tx, [containerId])
    if (restore !== undefined) {
      throw new StorageBeingRestoredInto(`container "${container.name}" of "${account.name}"`, restore)
    }
    await tx.delete(storageContainers).where(isIt)
    await recordAudit(tx, {
      actor,
      action: 'deleteStorageContainer',
      subject: { kind: 'StorageContainer', id: container.id, name: container.name },
      before: { name: container.name },
      detail: { storageAccount: account.name },
      now,
    })
    return container
  })
}
