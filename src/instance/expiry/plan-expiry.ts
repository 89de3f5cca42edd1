import { and, asc, eq, inArray, isNull, lte, sql } from 'drizzle-orm'
import type { Database } from '../../database/connect.ts'
import { recoveryPoints } from '../../database/tables/recovery-point.ts'
import { vaults } from '../../database/tables/vault.ts'
import { findGuardedPoints, isBeingRead } from '../../recovery-point/find.ts'
import { isOnHold } from '../../recovery-point/recovery-point.ts'
import {
  decideExpiry,
  type ExpiryCandidate,
  type ExpiryDecision,
  type ExpiryPlace,
  type GuardedPoints,
  unguarded,
} from '../../retention/decide-expiry.ts'
import type { BackupInstance } from '../instance.ts'
import { standstillIn } from '../states.ts'

const pageSize = 1_000

export interface PlanExpiry {
  /** As it is now: its state decides whether anything expires. */
  instance: Pick<BackupInstance, 'id' | 'state' | 'expiryApprovedThrough' | 'expiryBlockedAt' | 'contentAnomalySince'>
  now: Date
  /** Looks at no points but those that had expired by then. */
  expiredBy?: Date
}

/**
 * What an expiry run would do at a moment, without doing it: of the points that are past their end, which it would mark,
 * which stay and why, and how many would wait for approval. Reads the points that are due alone, and of them only what
 * decides.
 */
export async function planExpiry(
  tx: Database,
  { instance, now, expiredBy = now }: PlanExpiry,
): Promise<ExpiryDecision> {
  const standstill = standstillIn(instance.state)
  const candidates = standstill ? [] : await findCandidates(tx, { instanceId: instance.id, now, expiredBy })
  if (candidates.length === 0) return nothingDue
  const places = await placesOf(tx, instance.id)
  const { expiryApprovedThrough: approvedThrough, expiryBlockedAt: blockedAt } = instance
  const isAnomalous = instance.contentAnomalySince !== null
  return decideExpiry(candidates, { now, standstill, isAnomalous, places, approvedThrough, blockedAt })
}

/** The plan where no point is past its end, or none expires. */
export const nothingDue: ExpiryDecision = { marked: [], kept: [], blockedCount: 0, question: 'NONE' }

/** The points of an instance that no expiry may take now, by vault id. */
export async function guardedOf(tx: Database, instanceId: string): Promise<ReadonlyMap<string, GuardedPoints>> {
  return (await findGuardedPoints(tx, [instanceId])).get(instanceId) ?? new Map()
}

/** All of their ids. */
export function guardedIds(places: ReadonlyMap<string, GuardedPoints> | undefined): Set<string> {
  const ids = [...(places?.values() ?? [])].flatMap(({ newestRestorable, bestProven }) => [
    newestRestorable,
    bestProven,
  ])
  return new Set(ids.filter((id) => id !== null))
}

async function findCandidates(
  tx: Database,
  { instanceId, now, expiredBy }: { instanceId: string; now: Date; expiredBy: Date },
): Promise<ExpiryCandidate[]> {
  const candidates: ExpiryCandidate[] = []
  for (;;) {
    const last = candidates.at(-1)
    const page = await tx
      .select({
        id: recoveryPoints.id,
        vaultId: recoveryPoints.vaultId,
        expiresAt: recoveryPoints.expiresAt,
        heldAt: recoveryPoints.heldAt,
        holdUntil: recoveryPoints.holdUntil,
        isBeingRead,
      })
      .from(recoveryPoints)
      .where(
        and(
          eq(recoveryPoints.instanceId, instanceId),
          isNull(recoveryPoints.markedAt),
          lte(recoveryPoints.expiresAt, expiredBy),
          last &&
            sql`(${recoveryPoints.expiresAt}, ${recoveryPoints.id}) > (${last.expiresAt.toISOString()}::timestamptz, ${last.id}::uuid)`,
        ),
      )
      .orderBy(asc(recoveryPoints.expiresAt), asc(recoveryPoints.id))
      .limit(pageSize)
    for (const { id, vaultId, expiresAt, isBeingRead: isRead, ...hold } of page) {
      candidates.push({ id, vaultId, expiresAt, isHeld: isOnHold(hold, now), isBeingRead: isRead })
    }
    if (page.length < pageSize) return candidates
  }
}

/** What is known of the points that an instance has in each vault, by vault id. */
async function placesOf(tx: Database, instanceId: string): Promise<Map<string, ExpiryPlace>> {
  const guarded = await guardedOf(tx, instanceId)
  const rows = await tx
    .select({
      id: vaults.id,
      shareLimitPercent: vaults.expiryShareLimitPercent,
      // The column with its table's name: in a statement on one table the builder leaves that out.
      unmarkedCount: sql`(select count(*) from recovery_points
        where instance_id = ${instanceId} and vault_id = vaults.id and marked_at is null)`.mapWith(Number),
    })
    .from(vaults)
    .where(inArray(vaults.id, [...guarded.keys()]))
  return new Map(rows.map(({ id, ...limit }) => [id, { ...limit, guarded: guarded.get(id) ?? unguarded }]))
}
