import { and, eq, inArray } from 'drizzle-orm'
import { recordAudit } from '../audit/record.ts'
import type { Database } from '../database/connect.ts'
import { backupInstances } from '../database/tables/backup-instance.ts'
import type { JobRow } from '../job/states.ts'
import { findPolicies } from '../policy/find.ts'
import { enqueueConfiguration } from './configure-protection.ts'
import type { BackupInstance } from './instance.ts'
import { whyNotAllowed } from './refuse.ts'
import { startsFrom } from './states.ts'

export interface RetryConfigureProtection {
  instanceId: string
  actor: string
  now: Date
}

/** Checks server and vault again after a configuration that failed. */
export async function retryConfigureProtection(
  database: Database,
  { instanceId, actor, now }: RetryConfigureProtection,
): Promise<{ instance: BackupInstance; job: JobRow }> {
  return database.transaction(async (tx) => {
    const [instance] = await tx
      .update(backupInstances)
      .set({ state: 'CONFIGURING_PROTECTION', stateSince: now })
      .where(
        and(
          eq(backupInstances.id, instanceId),
          inArray(backupInstances.state, startsFrom('RETRY_CONFIGURE_PROTECTION')),
        ),
      )
      .returning()
    if (!instance) throw await whyNotAllowed(tx, instanceId, 'RETRY_CONFIGURE_PROTECTION')
    const [policy] = await findPolicies(tx, [instance.policyId])
    const job = await enqueueConfiguration(tx, { instance, policyName: policy?.name ?? '', actor, now })
    await recordAudit(tx, {
      actor,
      action: 'retryConfigureProtection',
      subject: { kind: 'BackupInstance', id: instance.id, name: instance.name },
      before: { state: 'CONFIGURING_PROTECTION_FAILED' },
      after: { state: instance.state },
      detail: { job: job.id },
      now,
    })
    return { instance, job }
  })
}
