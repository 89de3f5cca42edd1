import type { storageAccounts, storageContainers } from '../database/tables/storage-account.ts'
import { Refusal } from '../refusal.ts'

/** A place that restores write files into, with rules that say which vaults may. */
export type StorageAccount = typeof storageAccounts.$inferSelect

/** A folder of a storage account that restores write into. */
export type StorageContainer = typeof storageContainers.$inferSelect

/** A container, the account that it is in, and the vaults that are listed in the account's rules. */
export interface ContainerContext {
  container: StorageContainer
  account: StorageAccount
  resourceInstanceIds: string[]
}

/** A storage account is in that place already, in one around it or in one within it. */
export class LocationTakenByStorageAccount extends Refusal {
  readonly storageAccountId: string

  /** Both places in words. */
  constructor(place: string, existing: StorageAccount, existingPlace: string) {
    super(
      `Restores into storage account "${existing.name}" write to ${existingPlace}, so that ${place} is not free for anything else.`,
      ['Choose a place that lies neither in a storage account nor around one.'],
    )
    this.storageAccountId = existing.id
  }
}

/** A restore into the storage account or container has not ended: it needs what was to be deleted. */
export class StorageBeingRestoredInto extends Refusal {
  readonly runningJobId: string

  /** `what` names the account or container, as a sentence says it. */
  constructor(what: string, runningJobId: string) {
    super(`A restore into ${what} is queued or running.`, ['Wait for its end, or cancel it first.'])
    this.runningJobId = runningJobId
  }
}
