import type { Database } from '../../database/connect.ts'
import {
  findGuardedPoints,
  findPointsBeingRead,
  findRecoveryPointContexts,
  type RecoveryPointContext,
} from '../../recovery-point/find.ts'
import { isOnHold } from '../../recovery-point/recovery-point.ts'
import { approvalOf, isOverBudget, type KeptBecause, unguarded, whyItStays } from '../../retention/decide-expiry.ts'
import { standstillIn } from '../states.ts'
import { findBudgets } from './find-budgets.ts'

const awaiting: KeptBecause[] = ['AWAITING_APPROVAL']

/**
 * Every reason that each of many points stays for at a moment, by point id: what the expiry run of that moment would say.
 * None for a point that the next run takes, or that is on its way out already. At most four statements, however many points.
 */
export async function findKeptBecause(
  database: Database,
  { pointIds, now }: { pointIds: readonly string[]; now: Date },
): Promise<Map<string, KeptBecause[]>> {
  const contexts = await findRecoveryPointContexts(database, pointIds)
  const instanceIds = [...new Set(contexts.map(({ instance }) => instance.id))]
  const [guarded, read] = await Promise.all([
    findGuardedPoints(database, instanceIds),
    findPointsBeingRead(database, pointIds),
  ])
  const whyOf = ({ point, instance }: RecoveryPointContext): KeptBecause[] =>
    whyItStays(
      { id: point.id, expiresAt: point.expiresAt, isHeld: isOnHold(point, now), isBeingRead: read.has(point.id) },
      {
        now,
        standstill: standstillIn(instance.state),
        isAnomalous: instance.contentAnomalySince !== null,
        guarded: guarded.get(instance.id)?.get(point.vaultId) ?? unguarded,
      },
    )
  const weighed = contexts.map((context) => {
    const because = context.point.state === 'REMOVING' ? [] : whyOf(context)
    const isFree = context.point.state !== 'REMOVING' && because.length === 0
    return { ...context, because, approval: isFree ? approvalIn(context) : null }
  })
  const asking = weighed.filter(({ approval }) => approval === 'NOT_ASKED').map(({ instance }) => instance.id)
  const budgets = await findBudgets(database, { instanceIds: [...new Set(asking)], guarded, now })
  return new Map(
    weighed.map(({ point, instance, because, approval }) => {
      const isOver = budgets.get(instance.id)?.some((budget) => isOverBudget(budget.askingCount, budget)) ?? false
      const isTooMuch = approval === 'NOT_ASKED' && isOver
      return [point.id, approval === 'ASKED' || isTooMuch ? awaiting : because]
    }),
  )
}

function approvalIn({ point, instance }: RecoveryPointContext): ReturnType<typeof approvalOf> {
  const { expiryApprovedThrough: approvedThrough, expiryBlockedAt: blockedAt } = instance
  return approvalOf(point, { approvedThrough, blockedAt })
}
