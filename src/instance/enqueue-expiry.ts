import type { Database } from '../database/connect.ts'
import { enqueueJob, PendingJobExists } from '../job/enqueue.ts'
import { findJobs } from '../job/find.ts'
import type { JobRow, JobTrigger } from '../job/states.ts'
import type { BackupInstance } from './instance.ts'

export interface EnqueueExpiry {
  instance: Pick<BackupInstance, 'id' | 'name' | 'vaultId' | 'serverId'>
  trigger: JobTrigger
  actor: string
  now: Date
}

/**
 * Adds the job that removes an instance's points whose time is over, in the caller's transaction. There is at most one
 * pending: when there is one already, that one is answered.
 */
export async function enqueueExpiry(tx: Database, { instance, trigger, actor, now }: EnqueueExpiry): Promise<JobRow> {
  try {
    return await enqueueJob(tx, {
      operation: 'EXPIRE',
      trigger,
      input: {},
      subject: {
        instanceId: instance.id,
        vaultId: instance.vaultId,
        serverId: instance.serverId,
        instanceName: instance.name,
      },
      exclusiveKey: `expire:${instance.id}`,
      lanes: [`vault:${instance.vaultId}`],
      actor,
      now,
    })
  } catch (cause) {
    const pending = cause instanceof PendingJobExists ? (await findJobs(tx, [cause.jobId])).get(cause.jobId) : undefined
    if (!pending) throw cause
    return pending
  }
}
