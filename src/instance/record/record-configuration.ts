import { and, eq } from 'drizzle-orm'
import { recordAudit } from '../../audit/record.ts'
import type { Database } from '../../database/connect.ts'
import { backupInstances } from '../../database/tables/backup-instance.ts'
import { findPolicies } from '../../policy/find.ts'
import { planNext } from '../schedule/plan-next.ts'
import { findProvenAt } from '../schedule/recount-overdue.ts'
import { afterFailure, afterSuccess } from './health.ts'

export interface RecordConfiguration {
  instanceId: string
  now: Date
}

export interface RecordConfigurationFailure extends RecordConfiguration {
  /** Null: the job was cancelled, which says nothing about the health. */
  error: { message: string; isUserError: boolean } | null
}

/**
 * Ends a configuration that went well, in the transaction that settles its job: the schedule runs from now on. An instance
 * that is no longer being configured is left alone.
 */
export async function recordConfiguration(tx: Database, { instanceId, now }: RecordConfiguration): Promise<void> {
  const [configuring] = await tx.select().from(backupInstances).where(isConfiguring(instanceId)).for('update')
  if (!configuring) return
  const [policy] = await findPolicies(tx, [configuring.policyId])
  if (!policy) throw new Error('An instance follows a policy that is not there.')
  const { id, name, jitter } = configuring
  const plan = planNext(policy.rules, { jitter, after: now, provenAt: await findProvenAt(tx, id) })
  await tx
    .update(backupInstances)
    .set({ state: 'PROTECTION_CONFIGURED', stateSince: now, ...plan, ...afterSuccess(now) })
    .where(isConfiguring(instanceId))
  await recordAudit(tx, {
    actor: 'holdfast',
    action: 'protectionConfigured',
    subject: { kind: 'BackupInstance', id, name },
    now,
  })
}

/** Ends a configuration that failed, in the transaction that settles its job; as above. */
export async function recordConfigurationFailure(
  tx: Database,
  { instanceId, error, now }: RecordConfigurationFailure,
): Promise<void> {
  const [failed] = await tx
    .update(backupInstances)
    .set({ state: 'CONFIGURING_PROTECTION_FAILED', stateSince: now, ...(error && afterFailure(error, now)) })
    .where(isConfiguring(instanceId))
    .returning()
  if (!failed) return
  await recordAudit(tx, {
    actor: 'holdfast',
    action: 'configuringProtectionFailed',
    subject: { kind: 'BackupInstance', id: failed.id, name: failed.name },
    reason: error === null ? 'The configuration job was cancelled.' : error.message,
    now,
  })
}

function isConfiguring(instanceId: string) {
  return and(eq(backupInstances.id, instanceId), eq(backupInstances.state, 'CONFIGURING_PROTECTION'))
}
