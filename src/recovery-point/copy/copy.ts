import type { BackupInstance } from '../../instance/instance.ts'
import type { NewJob } from '../../job/enqueue.ts'
import { addDuration, parseDuration } from '../../retention/duration.ts'
import type { RecoveryPoint } from '../recovery-point.ts'

/**
 * When the time of a point's second copy is over, by the rule of the vault that the point lies in: a duration counted from
 * when the point was made, or null for as long as the point itself.
 */
export function endOfCopy(
  { createdAt, expiresAt }: Pick<RecoveryPoint, 'createdAt' | 'expiresAt'>,
  replicaRetention: string | null,
): Date {
  if (replicaRetention === null) return expiresAt
  const duration = parseDuration(replicaRetention)
  if (!duration) throw new Error(`Not a duration: ${replicaRetention}`)
  return addDuration(createdAt, duration)
}

export interface CopyOrder {
  instance: Pick<BackupInstance, 'id' | 'name'>
  point: Pick<RecoveryPoint, 'id' | 'vaultId'>
  /** Where the copy goes. */
  replicaId: string
  now: Date
}

/** The job that makes the second copy of a point in a vault; one at a time, and one into each vault, so that backups have room. */
export function copyJob({ instance, point, replicaId, now }: CopyOrder): NewJob {
  return {
    operation: 'COPY',
    trigger: 'SYSTEM',
    input: {},
    subject: {
      instanceId: instance.id,
      // The vault that is written to, as for a backup.
      vaultId: replicaId,
      recoveryPointId: point.id,
      instanceName: instance.name,
    },
    exclusiveKey: `copy:${point.id}:${replicaId}`,
    lanes: [`copy:${replicaId}`, `vault:${replicaId}`, `vault:${point.vaultId}`],
    maxAttempts: 3,
    actor: 'holdfast',
    now,
  }
}
