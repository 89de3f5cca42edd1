import { and, eq, inArray, isNotNull, lte, or } from 'drizzle-orm'
import type { Database } from '../database/connect.ts'
import { backupInstances } from '../database/tables/backup-instance.ts'
import { recoveryPoints } from '../database/tables/recovery-point.ts'
import { databaseTime } from '../database/time.ts'
import { recordNotification } from '../notification/record.ts'
import { restRemovals } from '../vault/removal-rest.ts'

const restMs = 7 * 24 * 60 * 60_000

/** Until when nothing is removed, and what would have gone by then. */
export interface RemovalsPutOff {
  until: Date
  /** Deleted instances that were to be purged. */
  purges: string[]
  /** Recovery points whose time is over, of instances whose points expire. */
  expiringPointCount: number
}

/**
 * Lets nothing be removed for a week: what was put on hold, kept for ever or had back after the copy was made is not known any
 * more, and goes else as the copy has it. Told to operators.
 */
export async function putRemovalsOff(database: Database, { copiedAt }: { copiedAt: string }): Promise<RemovalsPutOff> {
  // A new machine's clock may be behind still: the week begins when the copy was there already.
  const now = new Date(Math.max((await databaseTime(database)).getTime(), Date.parse(copiedAt)))
  return database.transaction(async (tx) => {
    const reason = `the service was recovered from the copy of ${copiedAt}`
    const { endsAt: until } = await restRemovals(tx, { kind: 'RECOVERY', forMs: restMs, reason, now })
    const purges = await tx
      .update(backupInstances)
      .set({ scheduledPurgeAt: until })
      .where(and(eq(backupInstances.state, 'SOFT_DELETED'), lte(backupInstances.scheduledPurgeAt, until)))
      .returning({ name: backupInstances.name })
    const expiring = tx
      .select({ id: backupInstances.id })
      .from(backupInstances)
      .where(inArray(backupInstances.state, ['PROTECTION_CONFIGURED', 'BACKUP_SCHEDULES_SUSPENDED']))
    const isOver = or(lte(recoveryPoints.expiresAt, until), isNotNull(recoveryPoints.markedAt))
    const expiringPointCount = await tx.$count(
      recoveryPoints,
      and(inArray(recoveryPoints.instanceId, expiring), isOver),
    )
    await tell(tx, { until, reason, now })
    return { until, purges: purges.map(({ name }) => name), expiringPointCount }
  })
}

async function tell(tx: Database, { until, reason, now }: { until: Date; reason: string; now: Date }): Promise<void> {
  await recordNotification(tx, {
    kind: 'MAINTENANCE_FAILED',
    severity: 'WARNING',
    message: `Nothing is removed until ${until.toISOString()}: ${reason}.`,
    recommendedActions: [
      'Before then, do again what was decided after that copy: undeleteBackupInstance, holdRecoveryPoint, stopProtection, updateVaultSecurity.',
      'Run importVault on the vault, for recovery points that are newer than the copy.',
    ],
    about: {},
    now,
  })
}
