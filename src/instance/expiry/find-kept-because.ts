import type { Database } from '../../database/connect.ts'
import { findGuardedPoints, findPointsBeingRead, findRecoveryPointContexts } from '../../recovery-point/find.ts'
import { isOnHold } from '../../recovery-point/recovery-point.ts'
import { isApproved, type KeptBecause, whyItStays } from '../../retention/decide-expiry.ts'
import { standstillIn } from '../states.ts'

const awaiting: KeptBecause[] = ['AWAITING_APPROVAL']
const unguarded = { newestRestorable: null, bestProven: null }

/**
 * Every reason that each of many points stays for at a moment, by point id: what the expiry run of that moment would say.
 * None for a point that the next run takes, or that is on its way out already. Three statements, however many points.
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
  return new Map(
    contexts.map(({ point, instance }) => {
      if (point.state === 'REMOVING') return [point.id, []]
      const candidate = {
        id: point.id,
        expiresAt: point.expiresAt,
        isHeld: isOnHold(point, now),
        isBeingRead: read.has(point.id),
      }
      const because = whyItStays(candidate, {
        now,
        standstill: standstillIn(instance.state),
        guarded: guarded.get(instance.id) ?? unguarded,
      })
      const approval = { approvedThrough: instance.expiryApprovedThrough }
      const isWaiting = because.length === 0 && instance.expiryBlockedAt !== null && !isApproved(point, approval)
      return [point.id, isWaiting ? awaiting : because]
    }),
  )
}
