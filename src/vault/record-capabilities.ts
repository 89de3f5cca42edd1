import { eq } from 'drizzle-orm'
import type { Database } from '../database/connect.ts'
import { type VaultCapabilities, vaults } from '../database/tables/vault.ts'

/** Writes down what a vault's storage was just seen to be able to do. */
export async function recordCapabilities(
  tx: Database,
  { vaultId, capabilities }: { vaultId: string; capabilities: VaultCapabilities },
): Promise<void> {
  await tx.update(vaults).set({ capabilities }).where(eq(vaults.id, vaultId))
}
