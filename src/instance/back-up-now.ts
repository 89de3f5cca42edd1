import { recordAudit } from '../audit/record.ts'
import type { Database } from '../database/connect.ts'
import { enqueueJob, PendingJobExists } from '../job/enqueue.ts'
import type { JobRow } from '../job/states.ts'
import { findPolicies } from '../policy/find.ts'
import type { BackupPolicy } from '../policy/policy.ts'
import { InvalidInput, Refusal } from '../refusal.ts'
import type { RetentionTag } from '../retention/rules.ts'
import { findServers } from '../server/find.ts'
import { requireCredentials } from '../server/server.ts'
import { lockFor } from './transition.ts'

/** A backup of the instance is queued or running; there is at most one. */
export class BackupAlreadyRunning extends Refusal {
  readonly runningJobId: string

  constructor(instanceName: string, runningJobId: string) {
    super(`A backup of "${instanceName}" is queued or running already.`, [
      'Follow that job, or cancel it and back up again.',
    ])
    this.runningJobId = runningJobId
  }
}

export interface BackUpNow {
  instanceId: string
  /** The rule of the policy that decides how long the point is kept; the default one when it is null or left out. */
  retentionTag?: RetentionTag | null
  actor: string
  now: Date
}

/** Starts a backup on demand: answers the job that makes one recovery point, or refuses while another backup is pending. */
export async function backUpNow(
  database: Database,
  { instanceId, retentionTag = null, actor, now }: BackUpNow,
): Promise<JobRow> {
  return database.transaction(async (tx) => {
    // Locked, so that no other operation moves the state before the job is there.
    const instance = await lockFor(tx, instanceId, 'BACK_UP_NOW')
    for (const server of await findServers(tx, [instance.serverId])) requireCredentials(server)
    const [policy] = await findPolicies(tx, [instance.policyId])
    if (policy && retentionTag !== null) checkTag(policy, retentionTag)
    try {
      const job = await enqueueJob(tx, {
        operation: 'BACKUP',
        trigger: 'USER',
        input: retentionTag === null ? {} : { retentionTag },
        subject: {
          instanceId,
          vaultId: instance.vaultId,
          serverId: instance.serverId,
          instanceName: instance.name,
          ...(policy && { policyName: policy.name }),
        },
        exclusiveKey: `backup:${instanceId}`,
        lanes: [`server:${instance.serverId}`, `vault:${instance.vaultId}`],
        maxAttempts: 3,
        actor,
        now,
      })
      await recordAudit(tx, {
        actor,
        action: 'backUpNow',
        subject: { kind: 'BackupInstance', id: instance.id, name: instance.name },
        detail: { job: job.id, ...(retentionTag !== null && { retentionTag }) },
        now,
      })
      return job
    } catch (cause) {
      if (cause instanceof PendingJobExists) throw new BackupAlreadyRunning(instance.name, cause.jobId)
      throw cause
    }
  })
}

function checkTag({ name, rules }: BackupPolicy, retentionTag: RetentionTag): void {
  const tags: RetentionTag[] = ['DEFAULT', ...rules.retentionRules.map(({ tag }) => tag)]
  if (tags.includes(retentionTag)) return
  throw new InvalidInput('retentionTag', `Policy "${name}" has no rule for the tag ${retentionTag}.`, [
    `Name one that it has: ${tags.join(', ')}. Or leave the field out: then it is DEFAULT.`,
  ])
}
