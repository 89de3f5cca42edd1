import { and, eq, isNotNull } from 'drizzle-orm'
import { recordAudit } from '../../audit/record.ts'
import type { Database } from '../../database/connect.ts'
import { backupInstances } from '../../database/tables/backup-instance.ts'
import { recoveryPoints } from '../../database/tables/recovery-point.ts'
import { vaultOrphans } from '../../database/tables/vault.ts'
import { recordNotification } from '../../notification/record.ts'

export interface FinishPurge {
  instanceId: string
  jobId: string
  now: Date
}

/**
 * Forgets a deleted instance and its points once all of their bytes are confirmed gone, in one transaction. Its jobs, its
 * audit records and what was told of it stay.
 */
export async function finishPurge(tx: Database, { instanceId, jobId, now }: FinishPurge): Promise<void> {
  const [instance] = await tx
    .select()
    .from(backupInstances)
    .where(and(eq(backupInstances.id, instanceId), isNotNull(backupInstances.purgeStartedAt)))
    .for('update')
  if (!instance) return
  const points = await tx
    .delete(recoveryPoints)
    .where(eq(recoveryPoints.instanceId, instanceId))
    .returning({ storedBytes: recoveryPoints.storedBytes })
  await tx.delete(vaultOrphans).where(eq(vaultOrphans.instanceId, instanceId))
  await tx.delete(backupInstances).where(eq(backupInstances.id, instanceId))
  const storedBytes = points.reduce((sum, point) => sum + point.storedBytes, 0)
  const { name, vaultId, policyId } = instance
  await recordAudit(tx, {
    actor: 'holdfast',
    action: 'instancePurged',
    subject: { kind: 'BackupInstance', id: instanceId, name },
    before: { state: instance.state, deletedAt: instance.deletedAt?.toISOString() ?? null },
    detail: { recoveryPoints: points.length, storedBytes, vault: vaultId, policy: policyId, job: jobId },
    now,
  })
  await recordNotification(tx, {
    kind: 'INSTANCE_PURGED',
    severity: 'INFO',
    message: `The deleted backup instance "${name}" was purged: ${points.length} recovery points, ${storedBytes} bytes.`,
    about: { instanceId, vaultId, jobId, name },
    onceKey: `instance-purged:${instanceId}`,
    now,
  })
}
