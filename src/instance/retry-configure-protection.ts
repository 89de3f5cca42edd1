import { recordAudit } from '../audit/record.ts'
import type { Database } from '../database/connect.ts'
import { carryOut } from '../database/rehearse.ts'
import type { JobRow } from '../job/states.ts'
import { findPolicies } from '../policy/find.ts'
import { findServers } from '../server/find.ts'
import { requireCredentials } from '../server/server.ts'
import { enqueueConfiguration } from './configure-protection.ts'
import { noEffects, type RetentionEffects } from './effects.ts'
import type { BackupInstance } from './instance.ts'
import { lockFor, moveInstance } from './transition.ts'

export interface RetryConfigureProtection {
  instanceId: string
  /** Answers what would happen, and changes nothing; the job answered then is not there. */
  dryRun?: boolean
  actor: string
  now: Date
}

/** Checks server and vault again after a configuration that failed. */
export async function retryConfigureProtection(
  database: Database,
  { instanceId, dryRun = false, actor, now }: RetryConfigureProtection,
): Promise<{ instance: BackupInstance; effects: RetentionEffects; job: JobRow }> {
  const operation = 'RETRY_CONFIGURE_PROTECTION'
  return carryOut(database, { dryRun }, async (tx) => {
    const before = await lockFor(tx, instanceId, operation)
    for (const server of await findServers(tx, [before.serverId])) requireCredentials(server)
    const instance = await moveInstance(tx, instanceId, { operation, now })
    const [policy] = await findPolicies(tx, [instance.policyId])
    const job = await enqueueConfiguration(tx, { instance, policyName: policy?.name ?? '', actor, now })
    await recordAudit(tx, {
      actor,
      action: 'retryConfigureProtection',
      subject: { kind: 'BackupInstance', id: instance.id, name: instance.name },
      before: { state: before.state },
      after: { state: instance.state },
      detail: { job: job.id },
      now,
    })
    return { instance, effects: noEffects(instance), job }
  })
}
