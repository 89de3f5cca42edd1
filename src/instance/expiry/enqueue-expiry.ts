import { inArray } from 'drizzle-orm'
import type { Database } from '../../database/connect.ts'
import { backupInstances } from '../../database/tables/backup-instance.ts'
import { enqueueOrFind, type NewJob } from '../../job/enqueue.ts'
import type { JobRow, JobTrigger } from '../../job/states.ts'
import { findPlaces } from '../../recovery-point/find.ts'
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
  const { instance, now } = expiry
  await putOff(tx, [instance.id], now)
  return enqueueOrFind(tx, expiryJob(expiry, await findPlaces(tx, [instance.id])))
}

/** The job itself. It works in every vault that the instance has points in, which are given by instance id. */
export function expiryJob(
  { instance, trigger, actor, now }: EnqueueExpiry,
  places: ReadonlyMap<string, readonly string[]>,
): NewJob {
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
    lanes: vaultLanes(instance, places),
    actor,
    now,
  }
}

/** The lanes of a job that works in every vault which an instance has points in. */
export function vaultLanes(
  { id, vaultId }: Pick<BackupInstance, 'id' | 'vaultId'>,
  places: ReadonlyMap<string, readonly string[]>,
): string[] {
  return [...new Set([vaultId, ...(places.get(id) ?? [])])].map((place) => `vault:${place}`)
}

/** Keeps the clock from enqueuing again what has just been enqueued. */
export async function putOff(tx: Database, instanceIds: readonly string[], now: Date): Promise<void> {
  await tx
    .update(backupInstances)
    .set({ expiryDueAt: new Date(now.getTime() + safetyNetMs) })
    .where(inArray(backupInstances.id, [...instanceIds]))
}
