import { and, eq, isNull } from 'drizzle-orm'
import { recordAudit } from '../audit/record.ts'
import type { Database } from '../database/connect.ts'
import { vaults } from '../database/tables/vault.ts'
import { NotFound, Refusal } from '../refusal.ts'
import type { SecretBox } from '../secret/secret-box.ts'
import type { Vault } from './vault.ts'

/** The vault's recovery key was handed out before; it is shown only once. */
export class RecoveryKeyAlreadyExported extends Refusal {
  readonly exportedAt: Date

  constructor(vault: Vault, exportedAt: Date) {
    super(`The recovery key of vault "${vault.name}" was exported at ${exportedAt.toISOString()}.`, [
      'Ask whoever exported it: the audit log names them.',
      'If the key is lost, make a new one with rotateVaultKey, and export that: it opens all that the vault holds.',
    ])
    this.exportedAt = exportedAt
  }
}

export interface ExportRecoveryKey {
  vaultId: string
  secrets: SecretBox
  actor: string
  now: Date
}

/**
 * Hands out the vault's secret key (an age identity) once, for a person to keep elsewhere:
 * with it and the vault's files alone, every recovery point can be restored.
 */
export async function exportRecoveryKey(
  database: Database,
  { vaultId, secrets, actor, now }: ExportRecoveryKey,
): Promise<{ vault: Vault; recoveryKey: string }> {
  return database.transaction(async (tx) => {
    const [vault] = await tx
      .update(vaults)
      .set({ recoveryKeyExportedAt: now })
      .where(and(eq(vaults.id, vaultId), isNull(vaults.recoveryKeyExportedAt)))
      .returning()
    if (!vault) throw await refusal(tx, vaultId)
    const recoveryKey = secrets.open(vault.sealedIdentity)
    await recordAudit(tx, {
      actor,
      action: 'exportRecoveryKey',
      subject: { kind: 'Vault', id: vault.id, name: vault.name },
      before: { recoveryKeyExportedAt: null },
      after: { recoveryKeyExportedAt: now.toISOString() },
      now,
    })
    return { vault, recoveryKey }
  })
}

async function refusal(tx: Database, vaultId: string): Promise<Refusal> {
  const [vault] = await tx.select().from(vaults).where(eq(vaults.id, vaultId))
  if (!vault?.recoveryKeyExportedAt) return new NotFound('vault')
  return new RecoveryKeyAlreadyExported(vault, vault.recoveryKeyExportedAt)
}
