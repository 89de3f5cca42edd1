import { and, eq, isNull, sql } from 'drizzle-orm'
import type { Database } from '../database/connect.ts'
import { backupInstances } from '../database/tables/backup-instance.ts'
import { recoveryPoints } from '../database/tables/recovery-point.ts'
import { recordNotification } from '../notification/record.ts'
import { isTwinOf } from './find.ts'
import { damageOfContents, proofLevels, type RecoveryPoint, type VerifyLevel } from './recovery-point.ts'

export interface RecordDamage {
  recoveryPointId: string
  /** One sentence for each thing that was found, naming it. */
  damage: string[]
  /** How far the look went that found it: only a verification that goes as far can clear it. */
  level: VerifyLevel
  /** The job that found it. */
  jobId?: string
  now: Date
}

/**
 * Marks a point as suspect and tells operators, once for each finding: it is never deleted for that, but restores refuse it
 * until a verification finds it whole again. One that was chosen for removal is what it is found to be once that is taken
 * back; one that is being removed is left alone.
 */
export async function recordDamage(
  tx: Database,
  { recoveryPointId, jobId, now, ...found }: RecordDamage,
): Promise<void> {
  const [point] = await tx
    .select()
    .from(recoveryPoints)
    .where(and(eq(recoveryPoints.id, recoveryPointId), isNull(recoveryPoints.sweepStartedAt)))
    .for('update')
  if (!point) return
  const { damage, damageLevel } = together(point, found)
  await mark(tx, recoveryPointId, { damage, damageLevel })
  const isNew = damage.some((sentence) => !point.damage.includes(sentence))
  if (isNew && point.state !== 'REMOVING') await tell(tx, { ...point, damage }, { jobId, now })
}

/**
 * Marks the points that hold the same as one that was restored into a scratch server: what differed there is in all of them.
 * Nobody is told of them, but of that one.
 */
export async function recordDamageOfTwins(
  tx: Database,
  { recoveryPointId, differences }: { recoveryPointId: string; differences: readonly string[] },
): Promise<void> {
  for (const twin of await lockTwins(tx, recoveryPointId)) {
    const damage = [...new Set([...damageOfFiles(twin), ...differences])]
    await mark(tx, twin.id, { damage, damageLevel: 'RESTORED' })
  }
}

/** Takes from the points that hold the same as one what was found in what they hold: that one has restored as it should. */
export async function clearDamageOfTwins(tx: Database, recoveryPointId: string): Promise<void> {
  for (const twin of await lockTwins(tx, recoveryPointId)) {
    if (damageOfContents(twin).length === 0) continue
    const damage = damageOfFiles(twin)
    const isClear = damage.length === 0
    await tx
      .update(recoveryPoints)
      .set({
        damage,
        ...(isClear && { damageLevel: null }),
        ...(isClear && twin.state === 'SUSPECT' && { state: 'AVAILABLE' }),
      })
      .where(eq(recoveryPoints.id, twin.id))
  }
}

async function lockTwins(tx: Database, recoveryPointId: string): Promise<RecoveryPoint[]> {
  const [point] = await tx.select().from(recoveryPoints).where(eq(recoveryPoints.id, recoveryPointId))
  if (!point) return []
  return tx
    .select()
    .from(recoveryPoints)
    .where(and(isTwinOf(point), isNull(recoveryPoints.sweepStartedAt)))
    .orderBy(recoveryPoints.id)
    .for('update')
}

function damageOfFiles(point: RecoveryPoint): string[] {
  const ofContents = damageOfContents(point)
  return point.damage.filter((sentence) => !ofContents.includes(sentence))
}

async function mark(
  tx: Database,
  recoveryPointId: string,
  found: Pick<RecoveryPoint, 'damage' | 'damageLevel'>,
): Promise<void> {
  await tx
    .update(recoveryPoints)
    .set({
      state: sql`case when ${recoveryPoints.state} = 'REMOVING' then 'REMOVING' else 'SUSPECT' end::recovery_point_state`,
      ...found,
    })
    .where(eq(recoveryPoints.id, recoveryPointId))
}

/** What a further look has found stands beside what this one finds: this one could not have seen it. */
function together(
  point: Pick<RecoveryPoint, 'damage' | 'damageLevel'>,
  { damage, level }: Pick<RecordDamage, 'damage' | 'level'>,
): { damage: string[]; damageLevel: RecoveryPoint['damageLevel'] } {
  const { damageLevel } = point
  if (damageLevel === null || proofLevels.indexOf(damageLevel) <= proofLevels.indexOf(level)) {
    return { damage, damageLevel: level }
  }
  return { damage: [...new Set([...point.damage, ...damage])], damageLevel }
}

async function tell(
  tx: Database,
  point: RecoveryPoint,
  { jobId, now }: { jobId: string | undefined; now: Date },
): Promise<void> {
  const [instance] = await tx
    .select({ name: backupInstances.name })
    .from(backupInstances)
    .where(eq(backupInstances.id, point.instanceId))
  const name = instance?.name ?? null
  const [first = '', ...others] = point.damage
  const more = ['', ' There is 1 more finding.'][others.length] ?? ` There are ${others.length} more findings.`
  await recordNotification(tx, {
    kind: 'RECOVERY_POINT_SUSPECT',
    severity: 'ERROR',
    message: `The recovery point of ${point.pointInTime.toISOString()} of "${name}" is not to be trusted: ${first}${more}`,
    recommendedActions: [
      'Take a new backup: restores refuse this recovery point.',
      "Read the point's damage and proofs, and look at the disk or the store of its vault.",
      'Once the cause is cured, verify it again with verifyRecoveryPoint.',
    ],
    about: { instanceId: point.instanceId, vaultId: point.vaultId, jobId: jobId ?? null, name },
    now,
  })
}
