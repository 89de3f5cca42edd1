import { eq } from 'drizzle-orm'
import type { Database } from '../../database/connect.ts'
import { vaults } from '../../database/tables/vault.ts'

/** Notes on a vault that a copy of the metadata lies in it, read back; in the transaction that settles the job. */
export async function recordMetadataBackup(
  tx: Database,
  { vaultId, createdAt, storedBytes }: { vaultId: string; createdAt: Date; storedBytes: number },
): Promise<void> {
  await tx
    .update(vaults)
    .set({
      metadataBackedUpAt: createdAt,
      metadataStoredBytes: storedBytes,
      metadataFailedAt: null,
      metadataFailure: null,
    })
    .where(eq(vaults.id, vaultId))
}

/** Notes on a vault that the metadata could not be backed up into it, and why. */
export async function recordMetadataFailure(
  tx: Database,
  { vaultId, failure, now }: { vaultId: string; failure: string; now: Date },
): Promise<void> {
  await tx.update(vaults).set({ metadataFailedAt: now, metadataFailure: failure }).where(eq(vaults.id, vaultId))
}
