import { and, eq, isNotNull } from 'drizzle-orm'
import { recordAudit } from '../../audit/record.ts'
import type { Database } from '../../database/connect.ts'
import { backupInstances } from '../../database/tables/backup-instance.ts'
import { vaultOrphans } from '../../database/tables/vault.ts'
import { recordNotification } from '../../notification/record.ts'
import type { PointSum } from './forget-points.ts'

export interface FinishPurge {
  instanceId: string
  jobId: string
  /** The points that it had. */
  points: PointSum
  now: Date
}

/**
 * Forgets a deleted instance whose points are forgotten: all of their bytes are confirmed gone. Its jobs, its audit records
 * and what was told of it stay.
 */
export async function finishPurge(tx: Database, { instanceId, jobId, points, now }: FinishPurge): Promise<void> {
  const [instance] = await tx
    .select()
    .from(backupInstances)
    .where(and(eq(backupInstances.id, instanceId), isNotNull(backupInstances.purgeStartedAt)))
    .for('update')
  if (!instance) return
  await tx.delete(vaultOrphans).where(eq(vaultOrphans.instanceId, instanceId))
  await tx.delete(backupInstances).where(eq(backupInstances.id, instanceId))
  const { count, storedBytes } = points
  const { name, vaultId, policyId } = instance
  await recordAudit(tx, {
    actor: 'holdfast',
    action: 'instancePurged',
    subject: { kind: 'BackupInstance', id: instanceId, name },
    before: { state: instance.state, deletedAt: instance.deletedAt?.toISOString() ?? null },
    detail: { recoveryPoints: count, storedBytes, vault: vaultId, policy: policyId, job: jobId },
    now,
  })
  await recordNotification(tx, {
    kind: 'INSTANCE_PURGED',
    severity: 'INFO',
    message: `The deleted backup instance "${name}" was purged: ${count} recovery points, ${storedBytes} bytes.`,
    about: { instanceId, vaultId, jobId, name },
    onceKey: `instance-purged:${instanceId}`,
    now,
  })
}
