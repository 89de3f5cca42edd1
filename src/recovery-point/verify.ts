import { recordAudit } from '../audit/record.ts'
import type { Database } from '../database/connect.ts'
import type { BackupInstance } from '../instance/instance.ts'
import { enqueueJob, type NewJob, PendingJobExists } from '../job/enqueue.ts'
import type { JobRow, JobTrigger } from '../job/states.ts'
import { Refusal } from '../refusal.ts'
import { lockForReading } from './find.ts'
import type { RecoveryPoint, VerifyLevel, VerifyRequest } from './recovery-point.ts'

/** A verification of the point is queued or running already. */
export class VerificationAlreadyRunning extends Refusal {
  readonly runningJobId: string

  constructor(runningJobId: string) {
    super('A verification of this recovery point is queued or running already.', ['Follow that job.'])
    this.runningJobId = runningJobId
  }
}

export interface VerifyRecoveryPoint {
  recoveryPointId: string
  /** How far it goes; DECODED when left out. */
  level?: VerifyLevel
  actor: string
  now: Date
}

/** Starts a job that shows a recovery point good to a level, or finds what is wrong with it. */
export async function verifyRecoveryPoint(
  database: Database,
  { recoveryPointId, level = 'DECODED', actor, now }: VerifyRecoveryPoint,
): Promise<JobRow> {
  return database.transaction(async (tx) => {
    const { point, instance } = await lockForReading(tx, recoveryPointId, 'VERIFY_RECOVERY_POINT')
    try {
      const job = await enqueueJob(tx, verificationJob({ instance, point, level, trigger: 'USER', actor, now }))
      await recordAudit(tx, {
        actor,
        action: 'verifyRecoveryPoint',
        subject: { kind: 'RecoveryPoint', id: point.id, name: point.pointInTime.toISOString() },
        detail: { instance: instance.name, level, job: job.id },
        now,
      })
      return job
    } catch (cause) {
      if (cause instanceof PendingJobExists) throw new VerificationAlreadyRunning(cause.jobId)
      throw cause
    }
  })
}

export interface Verification {
  instance: BackupInstance
  point: RecoveryPoint
  level: VerifyLevel
  trigger: JobTrigger
  actor: string
  now: Date
}

/**
 * The job that shows a point good to a level; one at a time for each point. What nobody asked for takes no place from
 * backups and restores: it has a lane of its own.
 */
export function verificationJob({ instance, point, level, trigger, actor, now }: Verification): NewJob {
  const input: VerifyRequest = { level }
  return {
    operation: 'VERIFY',
    trigger,
    input,
    subject: {
      instanceId: instance.id,
      vaultId: point.vaultId,
      recoveryPointId: point.id,
      instanceName: instance.name,
    },
    exclusiveKey: `verify:${point.id}`,
    lanes: [`${trigger === 'USER' ? 'vault' : 'verify'}:${point.vaultId}`],
    maxAttempts: 3,
    actor,
    now,
  }
}
