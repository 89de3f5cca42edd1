import { inArray } from 'drizzle-orm'
import type { Database } from '../../database/connect.ts'
import { backupInstances } from '../../database/tables/backup-instance.ts'
import { enqueueOrFind, type NewJob } from '../../job/enqueue.ts'
import type { JobRow, JobTrigger } from '../../job/states.ts'
import type { BackupInstance } from '../instance.ts'

export interface EnqueueExpiry {
  instance: Pick<BackupInstance, 'id' | 'name' | 'vaultId' | 'serverId'>
  trigger: JobTrigger
  actor: string
  now: Date
}

/** A job that comes to nothing is followed by another one after so long, ms; one that completes says itself when. */
const safetyNetMs = 24 * 60 * 60_000

/**
 * Adds the job that removes an instance's points whose time is over, in the caller's transaction. There is at most one
 * pending: when there is one already, that one is answered.
 */
export async function enqueueExpiry(tx: Database, expiry: EnqueueExpiry): Promise<JobRow> {
  await putOff(tx, [expiry.instance.id], expiry.now)
  return enqueueOrFind(tx, expiryJob(expiry))
}

/** The job itself. */
export function expiryJob({ instance, trigger, actor, now }: EnqueueExpiry): NewJob {
  return {
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
  }
}

/** Keeps the clock from enqueuing again what has just been enqueued. */
export async function putOff(tx: Database, instanceIds: readonly string[], now: Date): Promise<void> {
  await tx
    .update(backupInstances)
    .set({ expiryDueAt: new Date(now.getTime() + safetyNetMs) })
    .where(inArray(backupInstances.id, [...instanceIds]))
}
