import { recordAudit } from '../audit/record.ts'
import type { Database } from '../database/connect.ts'
import { carryOut } from '../database/rehearse.ts'
import { cancelQueued } from '../job/cancel.ts'
import { Refusal } from '../refusal.ts'
import { effectsOf, type RetentionEffects } from './effects.ts'
import { nextLook } from './expiry/next-expiry.ts'
import type { BackupInstance } from './instance.ts'
import { lockFor, moveInstance } from './transition.ts'

/** The data of a deleted backup instance is being purged: it cannot be had back any more. */
export class PurgeHasBegun extends Refusal {
  readonly purgeStartedAt: Date

  constructor(instance: BackupInstance, purgeStartedAt: Date) {
    super(
      `The purge of backup instance "${instance.name}" began at ${purgeStartedAt.toISOString()}: its recovery points are being removed.`,
      ['Protect the server anew once the purge has ended.'],
    )
    this.purgeStartedAt = purgeStartedAt
  }
}

export interface UndeleteBackupInstance {
  instanceId: string
  /** Answers what would happen, and changes nothing. */
  dryRun: boolean
  actor: string
  now: Date
}

/**
 * Has a deleted backup instance back with its recovery points, which are kept for ever until protection is resumed or
 * stopped otherwise. Refuses once its purge has begun.
 */
export async function undeleteBackupInstance(
  database: Database,
  { instanceId, dryRun, actor, now }: UndeleteBackupInstance,
): Promise<{ instance: BackupInstance; effects: RetentionEffects }> {
  const operation = 'UNDELETE_BACKUP_INSTANCE'
  return carryOut(database, { dryRun }, async (tx) => {
    const before = await lockFor(tx, instanceId, operation)
    const purgeBegan = before.purgeStartedAt ?? purgedWithItsDelete(before)
    if (purgeBegan) throw new PurgeHasBegun(before, purgeBegan)
    const change = {
      deletedAt: null,
      scheduledPurgeAt: null,
      stopReason: null,
      stopComment: null,
      expiryDueAt: nextLook(now),
    }
    const instance = await moveInstance(tx, instanceId, { operation, change, now })
    await cancelQueued(tx, { instanceId, operations: ['PURGE'], actor, now })
    await recordAudit(tx, {
      actor,
      action: 'undeleteBackupInstance',
      subject: { kind: 'BackupInstance', id: instance.id, name: instance.name },
      before: {
        state: before.state,
        deletedAt: before.deletedAt?.toISOString() ?? null,
        scheduledPurgeAt: before.scheduledPurgeAt?.toISOString() ?? null,
      },
      after: { state: instance.state, deletedAt: null, scheduledPurgeAt: null },
      now,
    })
    return { instance, effects: await effectsOf(tx, { before, after: instance, now }) }
  })
}

/** When an instance was deleted from a vault without soft delete: its purge began with that. Null for every other. */
function purgedWithItsDelete({ deletedAt, scheduledPurgeAt }: BackupInstance): Date | null {
  return deletedAt && scheduledPurgeAt && scheduledPurgeAt <= deletedAt ? deletedAt : null
}
