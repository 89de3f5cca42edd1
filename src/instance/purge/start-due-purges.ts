import { and, asc, eq, gt, isNotNull, isNull, lte, sql } from 'drizzle-orm'
import type { Database } from '../../database/connect.ts'
import { backupInstances } from '../../database/tables/backup-instance.ts'
import { notifications } from '../../database/tables/notification.ts'
import { enqueueJobs, enqueueOrFind, type NewJob } from '../../job/enqueue.ts'
import { type JobRow, pendingList } from '../../job/states.ts'
import { recordNotification } from '../../notification/record.ts'
import { findPlaces } from '../../recovery-point/find.ts'
import { type EnqueueExpiry, vaultLanes } from '../expiry/enqueue-expiry.ts'
import type { StartDue } from '../expiry/start-due-expiries.ts'

/** While its jobs are pending a purge tries again every few minutes; a restore may take days. */
const mostAttempts = 2_000
const nearMs = 2 * 24 * 60 * 60_000

/**
 * Enqueues the purges of deleted instances whose time has come, each once at a time, in one short transaction; resolves
 * with how many those were.
 */
export async function startDuePurges(database: Database, { now, atMost }: StartDue): Promise<number> {
  return database.transaction(async (tx) => {
    const isWithoutJob = sql`not exists (select 1 from jobs where exclusive_key = 'purge:' || ${backupInstances.id}
      and status in (${pendingList}))`
    const due = await tx
      .select()
      .from(backupInstances)
      .where(and(eq(backupInstances.state, 'SOFT_DELETED'), lte(backupInstances.scheduledPurgeAt, now), isWithoutJob))
      .orderBy(asc(backupInstances.scheduledPurgeAt))
      .limit(atMost)
      .for('no key update', { skipLocked: true })
    if (due.length === 0) return 0
    const places = await findPlaces(
      tx,
      due.map(({ id }) => id),
    )
    await enqueueJobs(
      tx,
      due.map((instance) => purgeJob({ instance, trigger: 'SYSTEM', actor: 'holdfast', now }, places)),
    )
    return due.length
  })
}

/**
 * Adds the job that purges a deleted instance, in the caller's transaction. There is at most one pending: when there is one
 * already, that one is answered.
 */
export async function enqueuePurge(tx: Database, purge: EnqueueExpiry): Promise<JobRow> {
  return enqueueOrFind(tx, purgeJob(purge, await findPlaces(tx, [purge.instance.id])))
}

function purgeJob(
  { instance, trigger, actor, now }: EnqueueExpiry,
  places: ReadonlyMap<string, readonly string[]>,
): NewJob {
  return {
    operation: 'PURGE',
    trigger,
    input: {},
    subject: {
      instanceId: instance.id,
      vaultId: instance.vaultId,
      serverId: instance.serverId,
      instanceName: instance.name,
    },
    exclusiveKey: `purge:${instance.id}`,
    lanes: vaultLanes(instance, places),
    maxAttempts: mostAttempts,
    actor,
    now,
  }
}

/** Tells once of each deleted instance that it is purged within two days; resolves with how many were told. */
export async function tellOfNearPurges(database: Database, { now, atMost }: StartDue): Promise<number> {
  return database.transaction(async (tx) => {
    // Once for each deletion: a purge that is put off from day to day stays near.
    const onceKey = sql<string>`'purge-near:' || ${backupInstances.id} || ':' || extract(epoch from coalesce(${backupInstances.deletedAt}, ${backupInstances.scheduledPurgeAt}))`
    const near = await tx
      .select({ instance: backupInstances, onceKey })
      .from(backupInstances)
      .where(
        and(
          eq(backupInstances.state, 'SOFT_DELETED'),
          isNull(backupInstances.purgeStartedAt),
          isNotNull(backupInstances.scheduledPurgeAt),
          gt(backupInstances.scheduledPurgeAt, now),
          lte(backupInstances.scheduledPurgeAt, new Date(now.getTime() + nearMs)),
          sql`not exists (select 1 from ${notifications} where ${notifications.onceKey} = ${onceKey})`,
        ),
      )
      .orderBy(asc(backupInstances.scheduledPurgeAt))
      .limit(atMost)
    for (const { instance, onceKey: key } of near) {
      const { id, name, vaultId, scheduledPurgeAt } = instance
      await recordNotification(tx, {
        kind: 'PURGE_NEAR',
        severity: 'WARNING',
        message: `The deleted backup instance "${name}" is purged with all its recovery points at ${scheduledPurgeAt?.toISOString() ?? ''}.`,
        recommendedActions: ['If its data is needed, undelete it before then with undeleteBackupInstance.'],
        about: { instanceId: id, vaultId, name },
        onceKey: key,
        now,
      })
    }
    return near.length
  })
}
