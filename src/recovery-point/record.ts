import type { Database } from '../database/connect.ts'
import { recoveryPoints } from '../database/tables/recovery-point.ts'
import type { RetentionDecision } from '../retention/decide-retention.ts'
import type { ContainedDatabase, RecoveryPoint } from './recovery-point.ts'

export interface RecordRecoveryPoint {
  id: string
  instanceId: string
  vaultId: string
  jobId: string
  prefix: string
  retention: Pick<RetentionDecision, 'tag' | 'expiresAt'>
  /** Whether the tag was named by whoever asked for the backup. */
  isTagRequested: boolean
  policyName: string
  policyVersion: number
  pointInTime: Date
  createdAt: Date
  /** When it had been read back. */
  provenAt: Date
  manifestSha256: string
  /** The age recipient that its artifacts are sealed for. */
  recipient: string
  serverVersionNumber: number
  toolMajor: number
  sourceBytes: number
  storedBytes: number
  databases: ContainedDatabase[]
}

/**
 * Adds a recovery point whose artifacts have been read back from the vault.
 * Call it in the transaction that settles the backup's job: the point is there exactly when the job has succeeded.
 */
export async function recordRecoveryPoint(
  tx: Database,
  { retention, ...point }: RecordRecoveryPoint,
): Promise<RecoveryPoint> {
  const [recorded] = await tx
    .insert(recoveryPoints)
    .values({
      ...point,
      state: 'AVAILABLE',
      tag: retention.tag,
      expiresAt: retention.expiresAt,
      proof: 'READ_BACK',
    })
    .returning()
  if (!recorded) throw new Error('A recovery point that was inserted did not come back.')
  return recorded
}
