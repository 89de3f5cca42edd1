import { recordAudit } from '../audit/record.ts'
import type { Database } from '../database/connect.ts'
import { carryOut } from '../database/rehearse.ts'
import { cancelQueued } from '../job/cancel.ts'
import type { JobRow } from '../job/states.ts'
import { checkComment } from '../refusal.ts'
import { effectsOf, type RetentionEffects } from './effects.ts'
import { nextExpiry, nextLook } from './expiry/next-expiry.ts'
import { takeBackMarks } from './expiry/take-back-marks.ts'
import type { BackupInstance } from './instance.ts'
import { nothingPlanned } from './schedule/plan-next.ts'
import { lockFor, moveInstance } from './transition.ts'

export type StopReason = NonNullable<BackupInstance['stopReason']>

export interface StopProtection {
  instanceId: string
  /** What becomes of the recovery points that are there. */
  data: 'RETAIN_FOREVER' | 'RETAIN_AS_PER_POLICY'
  reason: StopReason | null
  comment: string | null
  /** Answers what would happen, and changes nothing. */
  dryRun: boolean
  actor: string
  now: Date
}

/** What stopping or deleting did, or on a dry run would do. */
export interface Stopped {
  instance: BackupInstance
  effects: RetentionEffects
  /** Backups that will not be made any more. */
  cancelledJobIds: string[]
  /** Purges what was deleted from a vault without soft delete; null for every other, and on a dry run. */
  purge: JobRow | null
}

/**
 * Stops protecting a server: no more scheduled backups; one that runs finishes. Recovery points stay restorable: for ever,
 * or until their own expiry, which the newest restorable one does not have.
 */
export async function stopProtection(
  database: Database,
  { instanceId, data, reason, comment, dryRun, actor, now }: StopProtection,
): Promise<Stopped> {
  checkComment('comment', comment)
  const operation = `STOP_PROTECTION_${data}` as const
  const isForever = data === 'RETAIN_FOREVER'
  return carryOut(database, { dryRun }, async (tx) => {
    const before = await lockFor(tx, instanceId, operation)
    const change = {
      ...nothingPlanned,
      stopReason: reason,
      stopComment: comment,
      expiryDueAt: isForever ? nextLook(now) : nextExpiry(now),
      ...(isForever && noApprovalAsked),
    }
    const instance = await moveInstance(tx, instanceId, { operation, change, now })
    if (isForever) await takeBackMarks(tx, instanceId)
    const backups = { instanceId, operations: ['BACKUP'] as const, trigger: 'SCHEDULE' as const }
    const cancelled = await cancelQueued(tx, { ...backups, actor, now })
    await recordAudit(tx, {
      actor,
      action: 'stopProtection',
      subject: { kind: 'BackupInstance', id: instance.id, name: instance.name },
      reason: whyStopped({ reason, comment }),
      before: { state: before.state },
      after: { state: instance.state },
      detail: { data, cancelledJobs: cancelled.length },
      now,
    })
    const effects = await effectsOf(tx, { before, after: instance, now })
    return { instance, effects, cancelledJobIds: cancelled.map(({ id }) => id), purge: null }
  })
}

/** Where nothing expires, nothing waits for an approval, and what was approved before is asked for anew. */
export const noApprovalAsked = { expiryBlockedAt: null, expiryBlockedCount: null, expiryApprovedThrough: null } as const

/** The reason and the comment as the audit log has them: "COST: too dear"; null when none was given. */
export function whyStopped({ reason, comment }: Pick<StopProtection, 'reason' | 'comment'>): string | null {
  return [reason, comment].filter((part) => part !== null && part !== '').join(': ') || null
}
