import { and, eq, max } from 'drizzle-orm'
import type { Database } from '../../database/connect.ts'
import { backupInstances } from '../../database/tables/backup-instance.ts'
import { recoveryPoints } from '../../database/tables/recovery-point.ts'
import { overdueAfter } from '../../policy/schedule.ts'
import { lockInstance } from '../record/record-backup.ts'

/**
 * Records that one of an instance's points was found damaged, or whole again, and counts anew when the instance is overdue:
 * from its newest available point, and never from before its schedule began to run. The instance is locked before its points.
 */
export async function recountOverdue(tx: Database, instanceId: string, record: () => Promise<void>): Promise<void> {
  const { instance, policy } = await lockInstance(tx, instanceId)
  await record()
  if (instance.overdueAt === null) return
  const provenAt = (await findProvenAt(tx, instanceId)) ?? instance.stateSince
  const since = provenAt > instance.stateSince ? provenAt : instance.stateSince
  await tx
    .update(backupInstances)
    .set({ overdueAt: overdueAfter(policy.rules, since) })
    .where(eq(backupInstances.id, instanceId))
}

/** When the newest available point of an instance was made; null when it has none. */
export async function findProvenAt(tx: Database, instanceId: string): Promise<Date | null> {
  const [proven] = await tx
    .select({ at: max(recoveryPoints.createdAt) })
    .from(recoveryPoints)
    .where(and(eq(recoveryPoints.instanceId, instanceId), eq(recoveryPoints.state, 'AVAILABLE')))
  return proven?.at ?? null
}
