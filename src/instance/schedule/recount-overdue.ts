import { and, eq, max } from 'drizzle-orm'
import type { Database } from '../../database/connect.ts'
import { backupInstances } from '../../database/tables/backup-instance.ts'
import { recoveryPoints } from '../../database/tables/recovery-point.ts'
import { overdueAfter } from '../../policy/schedule.ts'
import { isOriginal } from '../../recovery-point/find.ts'
import type { RecoveryPoint } from '../../recovery-point/recovery-point.ts'
import type { BackupInstance } from '../instance.ts'
import { lockInstance } from '../record/record-backup.ts'

/**
 * Records that one of an instance's points was found damaged, or whole again. Where its newest available original is another
 * one by that (a copy elsewhere does not stand in for it), it is counted anew when the instance is overdue, never from before its schedule began to run; and a period
 * whose point is damaged is free for the next backup that succeeds. The instance is locked before its points.
 */
export async function recountOverdue(tx: Database, instanceId: string, record: () => Promise<void>): Promise<void> {
  const { instance, policy } = await lockInstance(tx, instanceId)
  const before = await findNewestByTag(tx, instanceId)
  await record()
  const after = await findNewestByTag(tx, instanceId)
  const lastTaggedAt = retagged(instance.lastTaggedAt, { before, after })
  const [provenBefore, provenAfter] = [newestOf(before), newestOf(after)]
  const isCounted = instance.overdueAt !== null && provenBefore !== provenAfter
  const since = new Date(Math.max(provenAfter, instance.stateSince.getTime()))
  await tx
    .update(backupInstances)
    .set({ lastTaggedAt, ...(isCounted && { overdueAt: overdueAfter(policy.rules, since) }) })
    .where(eq(backupInstances.id, instanceId))
}

/** When the newest available original of an instance was made; null when it has none. */
export async function findProvenAt(tx: Database, instanceId: string): Promise<Date | null> {
  const newest = newestOf(await findNewestByTag(tx, instanceId))
  return newest === -Infinity ? null : new Date(newest)
}

type NewestByTag = ReadonlyMap<RecoveryPoint['tag'], Date>

/** When the newest available original of each tag was made; tags without one are left out. */
async function findNewestByTag(tx: Database, instanceId: string): Promise<NewestByTag> {
  const rows = await tx
    .select({ tag: recoveryPoints.tag, at: max(recoveryPoints.createdAt) })
    .from(recoveryPoints)
    .where(and(eq(recoveryPoints.instanceId, instanceId), eq(recoveryPoints.state, 'AVAILABLE'), isOriginal))
    .groupBy(recoveryPoints.tag)
  return new Map(rows.flatMap(({ tag, at }) => (at ? [[tag, at]] : [])))
}

/** By the epoch, ms; -Infinity when there is none. */
function newestOf(newest: NewestByTag): number {
  return Math.max(...[...newest.values()].map((at) => at.getTime()))
}

/** Which periods have their point once the newest available ones have changed: a point that was removed still counts for its own. */
function retagged(
  lastTaggedAt: BackupInstance['lastTaggedAt'],
  { before, after }: { before: NewestByTag; after: NewestByTag },
): BackupInstance['lastTaggedAt'] {
  const changed = { ...lastTaggedAt }
  for (const tag of new Set([...before.keys(), ...after.keys()])) {
    if (tag === 'DEFAULT') continue
    const [former, present] = [before.get(tag)?.toISOString(), after.get(tag)?.toISOString()]
    if (former === present) continue
    // That of a point which was removed since is later than all that are there, and stays.
    const last = changed[tag]
    if (last !== undefined && last !== former && (present === undefined || last > present)) continue
    if (present === undefined) delete changed[tag]
    else changed[tag] = present
  }
  return changed
}
