import { and, eq, exists, isNull } from 'drizzle-orm'
import type { Database } from '../database/connect.ts'
import { recoveryPoints } from '../database/tables/recovery-point.ts'
import { vaults } from '../database/tables/vault.ts'
import { recordNotification } from '../notification/record.ts'

const dayMs = 86_400_000

/**
 * Tells operators of vaults that hold recovery points and whose recovery key nobody has exported: once a week, from a day
 * after the vault got its key. Without that key the points are lost together with Holdfast's own machine.
 */
export async function tellUnexported(database: Database, now: Date): Promise<void> {
  const points = database.select().from(recoveryPoints).where(eq(recoveryPoints.vaultId, vaults.id))
  const unexported = await database
    .select()
    .from(vaults)
    .where(and(isNull(vaults.recoveryKeyExportedAt), exists(points)))
    .orderBy(vaults.id)
  for (const { id, name, recipient, recipientSince, createdAt } of unexported) {
    const keptMs = now.getTime() - (recipientSince ?? createdAt).getTime()
    if (keptMs < dayMs) continue
    await recordNotification(database, {
      kind: 'RECOVERY_KEY_NOT_EXPORTED',
      severity: 'WARNING',
      message: `Nobody has exported the recovery key of vault "${name}": if this machine is lost, so is all that the vault holds.`,
      recommendedActions: ['Export it with exportRecoveryKey, and keep it away from this machine and from the vault.'],
      about: { vaultId: id, name },
      onceKey: `recovery-key:${recipient}:${Math.floor(keptMs / (7 * dayMs))}`,
      now,
    })
  }
}
