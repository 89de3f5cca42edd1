import { eq, type SQL } from 'drizzle-orm'
import type { Database } from '../../database/connect.ts'
import { backupInstances } from '../../database/tables/backup-instance.ts'
import { findPolicies } from '../../policy/find.ts'
import type { BackupPolicy } from '../../policy/policy.ts'
import { overdueAfter } from '../../policy/schedule.ts'
import { NotFound } from '../../refusal.ts'
import { type RecordAnomalies, recordAnomalies } from '../anomaly/record-anomalies.ts'
import { nextExpiry, nextLook } from '../expiry/next-expiry.ts'
import type { BackupInstance } from '../instance.ts'
import { standstillIn } from '../states.ts'
import { afterSuccess } from './health.ts'

/**
 * Locks an instance and answers it with the policy it follows now: what a new point's tag and end are decided by, in the
 * transaction that records the point. Throws NotFound when it has been purged.
 */
export async function lockInstance(
  tx: Database,
  instanceId: string,
): Promise<{ instance: BackupInstance; policy: BackupPolicy }> {
  const [instance] = await tx.select().from(backupInstances).where(eq(backupInstances.id, instanceId)).for('update')
  const [policy] = await findPolicies(tx, instance ? [instance.policyId] : [])
  if (!instance || !policy) throw new NotFound('backup instance')
  return { instance, policy }
}

/**
 * Notes on an instance that a backup has succeeded: its health, when it would be overdue next, which periods have their
 * point, when points are to be looked at for removal, and whether the new one holds much less than those before. The
 * instance is locked by lockInstance in the same transaction.
 */
export async function recordBackup(
  tx: Database,
  { instance, policy, point, contents, now }: RecordAnomalies,
): Promise<void> {
  const isScheduled = instance.overdueAt !== null
  await tx
    .update(backupInstances)
    .set({
      ...afterSuccess(now),
      ...(isScheduled && { overdueAt: overdueAfter(policy.rules, point.createdAt) }),
      ...(point.tag !== 'DEFAULT' && {
        lastTaggedAt: { ...instance.lastTaggedAt, [point.tag]: point.createdAt.toISOString() },
      }),
      // A newer point may set free the one that was kept only for being the newest: look again at once if any is past its time.
      expiryDueAt: nextLookIn(instance.state, now),
      ...(policy.rules.verification.decode?.kind === 'EVERY_POINT' && { verificationDueAt: now }),
    })
    .where(eq(backupInstances.id, instance.id))
  await recordAnomalies(tx, { instance, policy, point, ...(contents && { contents }), now })
}

function nextLookIn(state: BackupInstance['state'], now: Date): SQL<Date> | null {
  if (state === 'SOFT_DELETED') return null
  return standstillIn(state) ? nextLook(now) : nextExpiry(now)
}
