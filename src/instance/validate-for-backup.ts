import { recordAudit } from '../audit/record.ts'
import type { Database } from '../database/connect.ts'
import { enqueueJob } from '../job/enqueue.ts'
import type { JobRow } from '../job/states.ts'
import { type ConfigureProtection, findInstanceAt, findParts, heldBySoftDeleted } from './configure-protection.ts'
import type { BackupInstance } from './instance.ts'

/**
 * Starts a job that runs the checks of configureProtection and makes nothing: no backup instance, no vault where none is
 * yet. A server that is protected in the vault is checked as it is now, and its backup instance, which is answered, stays as
 * it is; without a policy's id its own policy is meant. Else refuses what configureProtection would refuse at once.
 */
export async function validateForBackup(
  database: Database,
  { serverId, vaultId, policyId, actor, now }: Omit<ConfigureProtection, 'name'>,
): Promise<{ job: JobRow; instance: BackupInstance | null }> {
  return database.transaction(async (tx) => {
    const instance = (await findInstanceAt(tx, { serverId, vaultId })) ?? null
    const followed = policyId ?? instance?.policyId ?? null
    const { server, vault, policy } = await findParts(tx, { serverId, vaultId, policyId: followed })
    if (instance?.state === 'SOFT_DELETED') throw heldBySoftDeleted(server, vault, instance)
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
    return { job, instance }
  })
}
