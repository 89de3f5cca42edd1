import { eq, sql } from 'drizzle-orm'
import type { Database } from '../../database/connect.ts'
import { backupInstances } from '../../database/tables/backup-instance.ts'
import { recoveryPoints } from '../../database/tables/recovery-point.ts'
import { recordNotification } from '../../notification/record.ts'
import type { BackupPolicy } from '../../policy/policy.ts'
import type { RecoveryPoint } from '../../recovery-point/recovery-point.ts'
import { type ContentFall, sentenceOf } from '../../retention/compare-content.ts'
import { takeBackMarks } from '../expiry/take-back-marks.ts'
import type { BackupInstance } from '../instance.ts'
import { type FindAnomalies, findAnomalies } from './find-anomalies.ts'

export interface RecordAnomalies {
  /** Locked by the caller. */
  instance: BackupInstance
  policy: BackupPolicy
  /** Recorded in the same transaction. */
  point: RecoveryPoint
  contents?: FindAnomalies['contents']
  now: Date
}

/**
 * Looks whether a point that was just recorded holds much less than the last good one. If so it is written down and told,
 * and nothing of the instance expires before somebody acknowledges it: what was chosen for removal stays too.
 */
export async function recordAnomalies(
  tx: Database,
  { instance, policy, point, contents, now }: RecordAnomalies,
): Promise<void> {
  const anomalies = await findAnomalies(tx, {
    instanceId: instance.id,
    databases: point.databases,
    gate: policy.rules.anomalyGate,
    except: point.id,
    ...(contents && { contents }),
  })
  if (anomalies.length === 0) return
  await tx.update(recoveryPoints).set({ anomalies }).where(eq(recoveryPoints.id, point.id))
  await tx
    .update(backupInstances)
    .set({
      contentAnomalySince: sql`coalesce(${backupInstances.contentAnomalySince}, ${now.toISOString()}::timestamptz)`,
    })
    .where(eq(backupInstances.id, instance.id))
  await takeBackMarks(tx, instance.id)
  await tell(tx, { instance, point, anomalies, now })
}

async function tell(
  tx: Database,
  {
    instance,
    point,
    anomalies,
    now,
  }: { instance: BackupInstance; point: RecoveryPoint; anomalies: readonly ContentFall[]; now: Date },
): Promise<void> {
  const [first, ...others] = anomalies
  if (!first) return
  const more = ['', ' There is 1 more finding.'][others.length] ?? ` There are ${others.length} more findings.`
  await recordNotification(tx, {
    kind: 'CONTENT_ANOMALY',
    severity: 'WARNING',
    message: `The recovery point of ${point.pointInTime.toISOString()} of "${instance.name}" holds much less than the last one: ${sentenceOf(first)}${more} Nothing of it expires before that is acknowledged.`,
    recommendedActions: [
      'Look whether data was lost at the source: the recovery points before hold it still.',
      'If it was meant, let expiry go on with acknowledgeContentAnomaly.',
    ],
    about: { instanceId: instance.id, vaultId: instance.vaultId, jobId: point.jobId, name: instance.name },
    onceKey: `content-anomaly:${point.id}`,
    now,
  })
}
