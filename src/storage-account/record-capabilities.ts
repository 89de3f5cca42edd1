import { eq } from 'drizzle-orm'
import type { Database } from '../database/connect.ts'
import { storageAccounts } from '../database/tables/storage-account.ts'
import type { VaultCapabilities } from '../database/tables/vault.ts'

/** Writes down what an account's storage was just seen to be able to do. */
export async function recordAccountCapabilities(
  database: Database,
  { storageAccountId, capabilities }: { storageAccountId: string; capabilities: VaultCapabilities },
): Promise<void> {
  await database.update(storageAccounts).set({ capabilities }).where(eq(storageAccounts.id, storageAccountId))
}
