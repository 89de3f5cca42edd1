import { recordAudit } from '../audit/record.ts'
import type { Database } from '../database/connect.ts'
import { enqueueJob } from '../job/enqueue.ts'
import type { JobRow } from '../job/states.ts'
import { type ConfigureProtection, findParts, whyPlaceTaken } from './configure-protection.ts'

/**
 * Starts a job that runs the checks of configureProtection and makes nothing: no backup instance, no vault where none is
 * yet. Refuses what configureProtection would refuse at once.
 */
export async function validateForBackup(
  database: Database,
  { serverId, vaultId, policyId, actor, now }: Omit<ConfigureProtection, 'name'>,
): Promise<JobRow> {
  return database.transaction(async (tx) => {
    const { server, vault, policy } = await findParts(tx, { serverId, vaultId, policyId })
    const taken = await whyPlaceTaken(tx, { server, vault })
    if (taken) throw taken
    const job = await enqueueJob(tx, {
      operation: 'CONFIGURE_PROTECTION',
      trigger: 'USER',
      input: {},
      subject: { vaultId, serverId, policyName: policy.name },
      lanes: [`server:${serverId}`, `vault:${vaultId}`],
      maxAttempts: 1,
      actor,
      now,
    })
    await recordAudit(tx, {
      actor,
      action: 'validateForBackup',
      subject: { kind: 'PostgresServer', id: server.id, name: server.name },
      detail: { vault: vault.name, policy: policy.name, job: job.id },
      now,
    })
    return job
  })
}
