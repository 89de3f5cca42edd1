import { eq } from 'drizzle-orm'
import type { Database } from '../../database/connect.ts'
import { backupInstances } from '../../database/tables/backup-instance.ts'
import { recordNotification } from '../../notification/record.ts'
import type { ExpiryDecision } from '../../retention/decide-expiry.ts'
import type { BackupInstance } from '../instance.ts'
import { markOfLocked } from './mark-expired.ts'
import { nothingDue, planExpiry } from './plan-expiry.ts'

export interface BeginExpiry {
  instanceId: string
  /** How many of the points that go are marked at once, in the same transaction; the rest is left to markExpired. */
  markAtMost: number
  /** Marks only points that lie in these vaults, of all that the plan takes; whatever the vault when left out. */
  vaultIds?: readonly string[]
  now: Date
}

/** What a run takes in all, and how many of that are marked already. */
export type BegunExpiry = ExpiryDecision & { markedCount: number }

/**
 * Decides what an expiry run takes, the budget included: once for the whole run. A run that would take too great a share
 * takes only what was approved, and the instance waits for approveExpiry, however the share changes meanwhile; that is told
 * once, and once more when too great a share of later points joins those that wait.
 */
export async function beginExpiry(
  database: Database,
  { instanceId, markAtMost, vaultIds, now }: BeginExpiry,
): Promise<BegunExpiry> {
  return database.transaction(async (tx) => {
    const [instance] = await tx.select().from(backupInstances).where(eq(backupInstances.id, instanceId)).for('update')
    if (!instance) return { ...nothingDue, markedCount: 0 }
    const plan = await planExpiry(tx, { instance, now })
    if (plan.question === 'NEW') await block(tx, { instance, plan, now })
    if (plan.question === 'NONE' && instance.expiryBlockedAt !== null) {
      await tx
        .update(backupInstances)
        .set({ expiryBlockedAt: null, expiryBlockedCount: null })
        .where(eq(backupInstances.id, instanceId))
    }
    const ids = plan.marked.slice(0, markAtMost)
    const { count } = await markOfLocked(tx, { instance, ids, ...(vaultIds && { vaultIds }), now })
    return { ...plan, markedCount: count }
  })
}

async function block(
  tx: Database,
  { instance, plan, now }: { instance: BackupInstance; plan: ExpiryDecision; now: Date },
): Promise<void> {
  const { id, name, vaultId } = instance
  await tx
    .update(backupInstances)
    .set({ expiryBlockedAt: now, expiryBlockedCount: plan.blockedCount })
    .where(eq(backupInstances.id, id))
  await recordNotification(tx, {
    kind: 'EXPIRY_NEEDS_APPROVAL',
    severity: 'WARNING',
    message: `${plan.blockedCount} recovery points of "${name}" have expired, a greater share of all than its vault lets go at once: none of them is removed before that is approved.`,
    recommendedActions: [
      'Look at them with approveExpiry and dryRun, then let them go with approveExpiry.',
      'Or keep them: stop protection and retain forever, or put single points on hold.',
    ],
    about: { instanceId: id, vaultId, name },
    onceKey: `expiry-blocked:${id}:${now.toISOString()}`,
    now,
  })
}
