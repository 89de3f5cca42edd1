import { eq } from 'drizzle-orm'
import { recordAudit } from '../../audit/record.ts'
import type { Database } from '../../database/connect.ts'
import { vaults } from '../../database/tables/vault.ts'
import { checkComment, NotFound } from '../../refusal.ts'
import type { Vault } from '../vault.ts'

export interface SwitchMetadataBackup {
  vaultId: string
  isOn: boolean
  reason: string | null
  actor: string
  now: Date
}

/** Decides whether Holdfast backs up its own metadata into a vault by itself. Copies that lie there stay. */
export async function switchMetadataBackup(
  database: Database,
  { vaultId, isOn, reason, actor, now }: SwitchMetadataBackup,
): Promise<Vault> {
  checkComment('reason', reason)
  return database.transaction(async (tx) => {
    const [before] = await tx.select().from(vaults).where(eq(vaults.id, vaultId)).for('no key update')
    if (!before) throw new NotFound('vault')
    if (before.keepsMetadata === isOn) return before
    const [vault] = await tx.update(vaults).set({ keepsMetadata: isOn }).where(eq(vaults.id, vaultId)).returning()
    if (!vault) throw new NotFound('vault')
    await recordAudit(tx, {
      actor,
      action: 'switchMetadataBackup',
      subject: { kind: 'Vault', id: vault.id, name: vault.name },
      reason,
      before: { isOn: before.keepsMetadata },
      after: { isOn },
      now,
    })
    return vault
  })
}

/**
 * Whether a vault that is to have copies of the metadata has had no new one for two intervals, counted from its set-up. One that a clock
 * which was ahead has dated after now does not count.
 */
export function isMetadataBackupOverdue(vault: Vault, { everyMs, now }: { everyMs: number; now: Date }): boolean {
  if (!vault.keepsMetadata || vault.capabilities === null) return false
  const { metadataBackedUpAt: at, createdAt } = vault
  const last = at !== null && at <= now ? at : createdAt
  return last.getTime() + 2 * everyMs < now.getTime()
}
