import { eq } from 'drizzle-orm'
import { recordAudit } from '../../audit/record.ts'
import type { Database } from '../../database/connect.ts'
import { carryOut } from '../../database/rehearse.ts'
import { backupInstances } from '../../database/tables/backup-instance.ts'
import type { JobRow } from '../../job/states.ts'
import { Refusal } from '../../refusal.ts'
import { noEffects, pointSetOf, type RetentionEffects } from '../effects.ts'
import type { BackupInstance } from '../instance.ts'
import { lockFor } from '../transition.ts'
import { enqueueExpiry } from './enqueue-expiry.ts'
import { planExpiry } from './plan-expiry.ts'

/** No expiry of the backup instance waits for approval. */
export class NothingToApprove extends Refusal {
  constructor(instance: BackupInstance) {
    super(`No expiry of backup instance "${instance.name}" waits for approval.`, [
      'Nothing has to be done: its recovery points go when their own time is over.',
    ])
  }
}

/** A recovery point of the backup instance holds much less than those before it: until that is acknowledged nothing expires, approved or not. */
export class ContentAnomalyNotAcknowledged extends Refusal {
  readonly instanceId: string

  constructor({ id, name }: BackupInstance, since: Date) {
    super(
      `Since ${since.toISOString()} a recovery point of backup instance "${name}" holds much less than those before it: nothing expires before that is acknowledged.`,
      [
        'Look at contentAnomaly of the backup instance, and whether data was lost at the source.',
        'If it was meant, acknowledge it with acknowledgeContentAnomaly, and ask again.',
      ],
    )
    this.instanceId = id
  }
}

export interface ApproveExpiry {
  instanceId: string
  /** Answers what would happen, and changes nothing. */
  dryRun: boolean
  actor: string
  now: Date
}

export interface ApprovedExpiry {
  instance: BackupInstance
  effects: RetentionEffects
  /** Lets them go; null on a dry run. */
  job: JobRow | null
}

/**
 * Lets an expiry go on that stopped because it would remove too great a share of an instance's points: those that had
 * expired when it stopped go by a job, and no others by this. Every other guard holds as ever.
 */
export async function approveExpiry(
  database: Database,
  { instanceId, dryRun, actor, now }: ApproveExpiry,
): Promise<ApprovedExpiry> {
  return carryOut(database, { dryRun }, async (tx) => {
    const before = await lockFor(tx, instanceId, 'APPROVE_EXPIRY')
    const through = before.expiryBlockedAt
    if (!through) throw new NothingToApprove(before)
    if (before.contentAnomalySince) throw new ContentAnomalyNotAcknowledged(before, before.contentAnomalySince)
    const [instance] = await tx
      .update(backupInstances)
      .set({
        expiryApprovedThrough: through,
        expiryBlockedAt: null,
        expiryBlockedCount: null,
        expiryDueAt: now,
      })
      .where(eq(backupInstances.id, instanceId))
      .returning()
    if (!instance) throw new NothingToApprove(before)
    // As the job finds them now, but only what was told of: points that expired since are weighed anew.
    const { marked } = await planExpiry(tx, { instance, now, expiredBy: through })
    const job = await enqueueExpiry(tx, { instance, trigger: 'USER', actor, now })
    const removed = await pointSetOf(tx, instanceId, marked)
    await recordAudit(tx, {
      actor,
      action: 'approveExpiry',
      subject: { kind: 'BackupInstance', id: instance.id, name: instance.name },
      before: { expiryBlockedAt: through.toISOString(), expiryBlockedCount: before.expiryBlockedCount },
      after: { expiryApprovedThrough: through.toISOString() },
      detail: { recoveryPoints: marked.length, storedBytes: removed.storedBytes, job: job.id },
      now,
    })
    const removedAt = marked.length > 0 ? now : null
    return { instance, effects: { ...noEffects(instance), removed, removedAt }, job: dryRun ? null : job }
  })
}
