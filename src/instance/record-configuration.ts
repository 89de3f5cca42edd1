import { and, eq } from 'drizzle-orm'
import { recordAudit } from '../audit/record.ts'
import type { Database } from '../database/connect.ts'
import { backupInstances } from '../database/tables/backup-instance.ts'

export interface RecordConfiguration {
  instanceId: string
  outcome: 'PROTECTION_CONFIGURED' | 'CONFIGURING_PROTECTION_FAILED'
  /** What went wrong, in one sentence; null when it went well. */
  reason: string | null
  now: Date
}

/** Ends a configuration, in the transaction that settles its job; an instance that is no longer being configured is left alone. */
export async function recordConfiguration(
  tx: Database,
  { instanceId, outcome, reason, now }: RecordConfiguration,
): Promise<void> {
  const [instance] = await tx
    .update(backupInstances)
    .set({ state: outcome, stateSince: now })
    .where(and(eq(backupInstances.id, instanceId), eq(backupInstances.state, 'CONFIGURING_PROTECTION')))
    .returning()
  if (!instance) return
  await recordAudit(tx, {
    actor: 'holdfast',
    action: outcome === 'PROTECTION_CONFIGURED' ? 'protectionConfigured' : 'configuringProtectionFailed',
    subject: { kind: 'BackupInstance', id: instance.id, name: instance.name },
    reason,
    now,
  })
}
