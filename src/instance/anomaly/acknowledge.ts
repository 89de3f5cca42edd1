import { and, eq } from 'drizzle-orm'
import { recordAudit } from '../../audit/record.ts'
import type { Database } from '../../database/connect.ts'
import { carryOut } from '../../database/rehearse.ts'
import { backupInstances } from '../../database/tables/backup-instance.ts'
import { isAnomalous, recoveryPoints } from '../../database/tables/recovery-point.ts'
import type { RecoveryPoint } from '../../recovery-point/recovery-point.ts'
import { checkComment, InvalidInput, Refusal } from '../../refusal.ts'
import { noEffects, pointSetOf, type RetentionEffects } from '../effects.ts'
import { nextExpiry } from '../expiry/next-expiry.ts'
import { planExpiry } from '../expiry/plan-expiry.ts'
import type { BackupInstance } from '../instance.ts'
import { statesThatExpire } from '../states.ts'
import { lockFor } from '../transition.ts'

/** No recovery point that is meant holds less than the ones before and waits to be acknowledged. */
export class NothingToAcknowledge extends Refusal {
  constructor(instance: BackupInstance) {
    super(`No content anomaly of backup instance "${instance.name}" that is meant waits to be acknowledged.`, [
      'Look at contentAnomaly of the backup instance: it lists the recovery points that do.',
    ])
  }
}

export interface AcknowledgeContentAnomaly {
  instanceId: string
  /** The one point that is meant; null: all that wait. */
  recoveryPointId: string | null
  /** Why it is as it should be. */
  comment: string
  /** Answers what would happen, and changes nothing. */
  dryRun: boolean
  actor: string
  now: Date
}

export interface AcknowledgedAnomaly {
  instance: BackupInstance
  points: RecoveryPoint[]
  effects: RetentionEffects
}

/**
 * Says of points that hold much less than those before them that this is as it should be: later points are compared with
 * them, and expiry goes on once none is left that waits.
 */
export async function acknowledgeContentAnomaly(
  database: Database,
  { instanceId, recoveryPointId, comment, dryRun, actor, now }: AcknowledgeContentAnomaly,
): Promise<AcknowledgedAnomaly> {
  checkSaid(comment)
  return carryOut(database, { dryRun }, async (tx) => {
    const before = await lockFor(tx, instanceId, 'ACKNOWLEDGE_CONTENT_ANOMALY')
    const points = await tx
      .update(recoveryPoints)
      .set({ anomalyAcknowledgedAt: now, anomalyAcknowledgedBy: actor, anomalyComment: comment })
      .where(
        and(
          eq(recoveryPoints.instanceId, instanceId),
          isAnomalous,
          recoveryPointId === null ? undefined : eq(recoveryPoints.id, recoveryPointId),
        ),
      )
      .returning()
    // A hold whose points are gone is ended by this too.
    if (points.length === 0 && !(recoveryPointId === null && before.contentAnomalySince)) {
      throw new NothingToAcknowledge(before)
    }
    const instance = await endHold(tx, { before, now })
    await recordAudit(tx, {
      actor,
      action: 'acknowledgeContentAnomaly',
      subject: { kind: 'BackupInstance', id: instance.id, name: instance.name },
      reason: comment,
      before: { contentAnomalySince: before.contentAnomalySince?.toISOString() ?? null },
      after: { contentAnomalySince: instance.contentAnomalySince?.toISOString() ?? null },
      detail: { recoveryPoints: points.length },
      now,
    })
    return { instance, points, effects: await effectsOfEnd(tx, { instance, now }) }
  })
}

/** What the next expiry run would do of that moment, now that nothing holds it; nothing while other points still wait. */
async function effectsOfEnd(
  tx: Database,
  { instance, now }: { instance: BackupInstance; now: Date },
): Promise<RetentionEffects> {
  if (instance.contentAnomalySince) return noEffects(instance)
  const { marked, kept } = await planExpiry(tx, { instance, now })
  const waiting = kept.filter(({ because }) => because.includes('AWAITING_APPROVAL'))
  return {
    ...noEffects(instance),
    removed: await pointSetOf(tx, instance.id, marked),
    removedAt: marked.length > 0 ? now : null,
    awaitingApproval: await pointSetOf(
      tx,
      instance.id,
      waiting.map(({ id }) => id),
    ),
  }
}

/** Lets expiry go on, where no point waits any more. */
async function endHold(tx: Database, { before, now }: { before: BackupInstance; now: Date }): Promise<BackupInstance> {
  const left = await tx.$count(recoveryPoints, and(eq(recoveryPoints.instanceId, before.id), isAnomalous))
  if (left > 0) return before
  const isExpiring = statesThatExpire.some((each) => each === before.state)
  const [freed] = await tx
    .update(backupInstances)
    .set({ contentAnomalySince: null, ...(isExpiring && { expiryDueAt: nextExpiry(now) }) })
    .where(eq(backupInstances.id, before.id))
    .returning()
  return freed ?? before
}

function checkSaid(comment: string): void {
  checkComment('comment', comment)
  if (comment.trim() === '') {
    throw new InvalidInput('comment', 'It cannot be acknowledged without a word.', [
      'Say why it is as it should be: whoever misses the data later will read that.',
    ])
  }
}
