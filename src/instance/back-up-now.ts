import { and, eq, inArray } from 'drizzle-orm'
import { recordAudit } from '../audit/record.ts'
import type { Database } from '../database/connect.ts'
import { backupInstances } from '../database/tables/backup-instance.ts'
import { enqueueJob, PendingJobExists } from '../job/enqueue.ts'
import type { JobRow } from '../job/states.ts'
import { findPolicies } from '../policy/find.ts'
import { Refusal } from '../refusal.ts'
import { whyNotAllowed } from './refuse.ts'
import { startsFrom } from './states.ts'

/** A backup of the instance is queued or running; there is at most one. */
export class BackupAlreadyRunning extends Refusal {
  readonly runningJobId: string

  constructor(runningJobId: string) {
    super('A backup of this instance is queued or running already.', [
      'Follow that job, or cancel it and back up again.',
    ])
    this.runningJobId = runningJobId
  }
}

export interface BackUpNow {
  instanceId: string
  actor: string
  now: Date
}

/** Starts a backup on demand: answers the job that makes one recovery point, or refuses while another backup is pending. */
export async function backUpNow(database: Database, { instanceId, actor, now }: BackUpNow): Promise<JobRow> {
  return database.transaction(async (tx) => {
    // Locks the row without changing it, so that no other operation moves the state before the job is there.
    const [instance] = await tx
      .select()
      .from(backupInstances)
      .where(and(eq(backupInstances.id, instanceId), inArray(backupInstances.state, startsFrom('BACK_UP_NOW'))))
      .for('update')
    if (!instance) throw await whyNotAllowed(tx, instanceId, 'BACK_UP_NOW')
    const [policy] = await findPolicies(tx, [instance.policyId])
    try {
      const job = await enqueueJob(tx, {
        operation: 'BACKUP',
        trigger: 'USER',
        input: {},
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
        detail: { job: job.id },
        now,
      })
      return job
    } catch (cause) {
      if (cause instanceof PendingJobExists) throw new BackupAlreadyRunning(cause.jobId)
      throw cause
    }
  })
}
