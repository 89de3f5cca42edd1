import { eq, inArray } from 'drizzle-orm'
import type { Database } from '../database/connect.ts'
import { storageAccountResourceInstances as resourceInstances } from '../database/tables/storage-account.ts'
import { vaults } from '../database/tables/vault.ts'
import { NotFound } from '../refusal.ts'

/**
 * Makes these the vaults that an account's rules list, whatever they listed before; answers their names, as the audit log
 * tells them. Throws NotFound when one is no vault.
 */
export async function listVaults(tx: Database, storageAccountId: string, vaultIds: readonly string[]): Promise<string> {
  const ids = [...new Set(vaultIds)]
  // Not deleted before the transaction ends.
  const found = ids.length === 0 ? [] : await tx.select().from(vaults).where(inArray(vaults.id, ids)).for('key share')
  if (found.length < ids.length) throw new NotFound('vault')
  await tx.delete(resourceInstances).where(eq(resourceInstances.storageAccountId, storageAccountId))
  if (ids.length > 0) await tx.insert(resourceInstances).values(ids.map((vaultId) => ({ storageAccountId, vaultId })))
  return namesOf(found)
}

/** The names of vaults in one text, each in quotes. */
export function namesOf(listed: readonly { name: string }[]): string {
  return listed
    .map(({ name }) => JSON.stringify(name))
    .toSorted()
    .join(', ')
}
