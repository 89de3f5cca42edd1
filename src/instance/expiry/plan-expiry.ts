import { and, asc, eq, isNull, lte, sql } from 'drizzle-orm'
import type { Database } from '../../database/connect.ts'
import { recoveryPoints } from '../../database/tables/recovery-point.ts'
import { vaults } from '../../database/tables/vault.ts'
import { findGuardedPoints, isBeingRead } from '../../recovery-point/find.ts'
import { isOnHold } from '../../recovery-point/recovery-point.ts'
import {
  decideExpiry,
  type ExpiryCandidate,
  type ExpiryDecision,
  type ExpiryFacts,
  type GuardedPoints,
} from '../../retention/decide-expiry.ts'
import type { BackupInstance } from '../instance.ts'
import { standstillIn } from '../states.ts'

const pageSize = 1_000

export interface PlanExpiry {
  /** As it is now: its state decides whether anything expires. */
  instance: Pick<
    BackupInstance,
    'id' | 'vaultId' | 'state' | 'expiryApprovedThrough' | 'expiryBlockedAt' | 'contentAnomalySince'
  >
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
  const [guarded, budget] = await Promise.all([guardedOf(tx, instance.id), budgetOf(tx, instance)])
  const { expiryApprovedThrough: approvedThrough, expiryBlockedAt: blockedAt } = instance
  const isAnomalous = instance.contentAnomalySince !== null
  return decideExpiry(candidates, { now, standstill, isAnomalous, guarded, approvedThrough, blockedAt, ...budget })
}

/** The plan where no point is past its end, or none expires. */
export const nothingDue: ExpiryDecision = { marked: [], kept: [], blockedCount: 0, question: 'NONE' }

/** The points of an instance that no expiry may take now. */
export async function guardedOf(tx: Database, instanceId: string): Promise<GuardedPoints> {
  const found = await findGuardedPoints(tx, [instanceId])
  return found.get(instanceId) ?? { newestRestorable: null, bestProven: null }
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
    for (const { id, expiresAt, isBeingRead: isRead, ...hold } of page) {
      candidates.push({ id, expiresAt, isHeld: isOnHold(hold, now), isBeingRead: isRead })
    }
    if (page.length < pageSize) return candidates
  }
}

async function budgetOf(
  tx: Database,
  { id, vaultId }: Pick<BackupInstance, 'id' | 'vaultId'>,
): Promise<Pick<ExpiryFacts, 'unmarkedCount' | 'shareLimitPercent'>> {
  const [budget] = await tx
    .select({
      shareLimitPercent: vaults.expiryShareLimitPercent,
      unmarkedCount:
        sql`(select count(*) from recovery_points where instance_id = ${id} and marked_at is null)`.mapWith(Number),
    })
    .from(vaults)
    .where(eq(vaults.id, vaultId))
  if (!budget) throw new Error('A backup instance has no vault.')
  return budget
}
