import { asc, eq, inArray, sql } from 'drizzle-orm'
import type { Database } from '../database/connect.ts'
import { recoveryPoints } from '../database/tables/recovery-point.ts'
import type { RecoveryPoint } from '../recovery-point/recovery-point.ts'
import type { ExpiryDecision } from '../retention/decide-expiry.ts'
import { guardedIds, guardedOf, planExpiry } from './expiry/plan-expiry.ts'
import type { BackupInstance } from './instance.ts'

/** Some recovery points of one instance; of each only its id is held, however many they are. */
export interface PointSet {
  instanceId: string
  ids: readonly string[]
  storedBytes: number
}

/** What becomes of an instance's recovery points by an operation; those that it makes no difference to are in no set. */
export interface RetentionEffects {
  /** Points that go. */
  removed: PointSet
  /** When their removal begins; null when none goes. */
  removedAt: Date | null
  /** Points that from now on are not removed, whatever their expiry, for as long as the instance stays in its new state. */
  keptForever: PointSet
  /** Points that had no end before and are removed from now on when their own time is over. */
  startsExpiring: PointSet
  /** Points past their end that are too great a share of all to go at once: they stay until approveExpiry. */
  awaitingApproval: PointSet
}

type Fate = 'removed' | 'keptForever' | 'startsExpiring' | 'awaitingApproval' | 'none'

/**
 * What an operation that has just been done, in the same transaction, means for the instance's points: a dry run and the
 * real run say the same, because both ask here. The plan is what an expiry run of that moment would do, where the caller has
 * it already.
 */
export async function effectsOf(tx: Database, done: OperationDone): Promise<RetentionEffects> {
  const { after, now } = done
  const fateOf = await fates(tx, done)
  const sets: Record<Fate, { ids: string[]; storedBytes: number }> = {
    removed: { ids: [], storedBytes: 0 },
    keptForever: { ids: [], storedBytes: 0 },
    startsExpiring: { ids: [], storedBytes: 0 },
    awaitingApproval: { ids: [], storedBytes: 0 },
    none: { ids: [], storedBytes: 0 },
  }
  for (const { id, isGoing, storedBytes, expiresAt } of await pointsOf(tx, after.id)) {
    const set = sets[isGoing ? 'removed' : fateOf({ id, expiresAt })]
    set.ids.push(id)
    set.storedBytes += storedBytes
  }
  const setOf = (fate: Fate): PointSet => ({ instanceId: after.id, ...sets[fate] })
  return {
    removed: setOf('removed'),
    removedAt: sets.removed.ids.length === 0 ? null : (after.scheduledPurgeAt ?? now),
    keptForever: setOf('keptForever'),
    startsExpiring: setOf('startsExpiring'),
    awaitingApproval: setOf('awaitingApproval'),
  }
}

/** The effects of an operation that leaves every existing point alone. */
export function noEffects({ id }: BackupInstance): RetentionEffects {
  const none: PointSet = { instanceId: id, ids: [], storedBytes: 0 }
  return { removed: none, removedAt: null, keptForever: none, startsExpiring: none, awaitingApproval: none }
}

/** These points of an instance, with their bytes. */
export async function pointSetOf(tx: Database, instanceId: string, ids: readonly string[]): Promise<PointSet> {
  let storedBytes = 0
  for (let start = 0; start < ids.length; start += 1_000) {
    const [part] = await tx
      .select({ bytes: sql`coalesce(sum(${recoveryPoints.storedBytes}), 0)`.mapWith(Number) })
      .from(recoveryPoints)
      .where(inArray(recoveryPoints.id, ids.slice(start, start + 1_000)))
    storedBytes += part?.bytes ?? 0
  }
  return { instanceId, ids, storedBytes }
}

interface OperationDone {
  before: BackupInstance
  after: BackupInstance
  plan?: ExpiryDecision
  now: Date
}

/** What becomes of each point that is not on its way out already, by the states before and after. */
async function fates(
  tx: Database,
  { before, after, plan, now }: OperationDone,
): Promise<(point: Pick<RecoveryPoint, 'id' | 'expiresAt'>) => Fate> {
  if (after.state === 'SOFT_DELETED') return () => 'removed'
  if (after.state === 'PROTECTION_STOPPED') return () => 'keptForever'
  const { marked, kept } = plan ?? (await planExpiry(tx, { instance: after, now }))
  const planned = new Map<string, Fate>(marked.map((id) => [id, 'removed']))
  for (const { id, because } of kept) if (because.includes('AWAITING_APPROVAL')) planned.set(id, 'awaitingApproval')
  const guarded = guardedIds(await guardedOf(tx, after.id))
  const rest = before.state === 'PROTECTION_STOPPED' ? 'startsExpiring' : 'none'
  return ({ id, expiresAt }) => {
    if (!guarded.has(id)) return planned.get(id) ?? rest
    // Without new backups the guarded points stay guarded; with them, they go on their own date, or when newer ones are there.
    if (after.state === 'BACKUP_SCHEDULES_SUSPENDED') return 'keptForever'
    return expiresAt.getTime() > now.getTime() ? 'startsExpiring' : 'none'
  }
}

async function pointsOf(tx: Database, instanceId: string) {
  return tx
    .select({
      id: recoveryPoints.id,
      storedBytes: recoveryPoints.storedBytes,
      expiresAt: recoveryPoints.expiresAt,
      isGoing: sql<boolean>`${recoveryPoints.state} = 'REMOVING'`,
    })
    .from(recoveryPoints)
    .where(eq(recoveryPoints.instanceId, instanceId))
    .orderBy(asc(recoveryPoints.createdAt), asc(recoveryPoints.id))
}
