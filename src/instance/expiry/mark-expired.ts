import { and, asc, eq, inArray, isNull, sql } from 'drizzle-orm'
import { recordAudit } from '../../audit/record.ts'
import type { Database } from '../../database/connect.ts'
import { backupInstances } from '../../database/tables/backup-instance.ts'
import { recoveryPoints } from '../../database/tables/recovery-point.ts'
import { findPointsBeingRead } from '../../recovery-point/find.ts'
import { isOnHold } from '../../recovery-point/recovery-point.ts'
import { unguarded, whyItStays } from '../../retention/decide-expiry.ts'
import type { BackupInstance } from '../instance.ts'
import { standstillIn } from '../states.ts'
import { guardedOf } from './plan-expiry.ts'

export interface MarkExpired {
  instanceId: string
  /** What the run's plan takes; at most a thousand or so. */
  ids: readonly string[]
  /** Only those that lie in these vaults; whatever the vault when left out. */
  vaultIds?: readonly string[]
  now: Date
}

/** What was marked. */
export interface MarkedPoints {
  count: number
  storedBytes: number
}

/**
 * Chooses points for removal, of those that the plan of an expiry run named: each is looked at again under lock, and what
 * is held, read, needed or not to expire any more by now stays. Nothing of their bytes is touched: until the sweep begins
 * the choice can be taken back.
 */
export async function markExpired(
  database: Database,
  { instanceId, ids, ...mark }: MarkExpired,
): Promise<MarkedPoints> {
  if (ids.length === 0) return none
  return database.transaction(async (tx) => {
    const [instance] = await tx.select().from(backupInstances).where(eq(backupInstances.id, instanceId)).for('update')
    return instance ? markOfLocked(tx, { instance, ids, ...mark }) : none
  })
}

/** The same for an instance that the transaction has locked already. */
export async function markOfLocked(
  tx: Database,
  { instance, ids: planned, vaultIds, now }: Omit<MarkExpired, 'instanceId'> & { instance: BackupInstance },
): Promise<MarkedPoints> {
  if (planned.length === 0) return none
  const instanceId = instance.id
  const candidates = await lockCandidates(tx, { instanceId, ids: planned, ...(vaultIds && { vaultIds }) })
  // Read after the points are locked: a reader that was enqueued before that is seen, a later one finds the mark.
  const ids = candidates.map(({ id }) => id)
  const [read, guarded] = await Promise.all([findPointsBeingRead(tx, ids), guardedOf(tx, instanceId)])
  const isAnomalous = instance.contentAnomalySince !== null
  const facts = { now, standstill: standstillIn(instance.state), isAnomalous }
  const marked = candidates.filter(({ id, vaultId, expiresAt, ...hold }) => {
    const candidate = { id, expiresAt, isHeld: isOnHold(hold, now), isBeingRead: read.has(id) }
    return whyItStays(candidate, { ...facts, guarded: guarded.get(vaultId) ?? unguarded }).length === 0
  })
  if (marked.length === 0) return none
  await mark(
    tx,
    marked.map(({ id }) => id),
    now,
  )
  const storedBytes = marked.reduce((sum, point) => sum + point.storedBytes, 0)
  await recordAudit(tx, {
    actor: 'holdfast',
    action: 'recoveryPointsMarked',
    subject: { kind: 'BackupInstance', id: instance.id, name: instance.name },
    detail: { count: marked.length, storedBytes },
    now,
  })
  return { count: marked.length, storedBytes }
}

const none: MarkedPoints = { count: 0, storedBytes: 0 }

async function lockCandidates(tx: Database, { instanceId, ids, vaultIds }: Omit<MarkExpired, 'now'>) {
  return tx
    .select({
      id: recoveryPoints.id,
      vaultId: recoveryPoints.vaultId,
      expiresAt: recoveryPoints.expiresAt,
      heldAt: recoveryPoints.heldAt,
      holdUntil: recoveryPoints.holdUntil,
      storedBytes: recoveryPoints.storedBytes,
    })
    .from(recoveryPoints)
    .where(
      and(
        inArray(recoveryPoints.id, [...ids]),
        eq(recoveryPoints.instanceId, instanceId),
        vaultIds && inArray(recoveryPoints.vaultId, [...vaultIds]),
        isNull(recoveryPoints.markedAt),
      ),
    )
    .orderBy(asc(recoveryPoints.id))
    .for('update')
}

async function mark(tx: Database, ids: readonly string[], now: Date): Promise<void> {
  await tx
    .update(recoveryPoints)
    .set({
      state: 'REMOVING',
      markedAt: now,
      markReason: sql`'It was kept until ' || to_char(${recoveryPoints.expiresAt} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') || '.'`,
    })
    .where(inArray(recoveryPoints.id, [...ids]))
}
