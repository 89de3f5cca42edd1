import type { Database } from '../../src/database/connect.ts'
import { acknowledgeContentAnomaly } from '../../src/instance/anomaly/acknowledge.ts'
import { backUpNow } from '../../src/instance/back-up-now.ts'
import { changePolicy } from '../../src/instance/change-policy.ts'
import { deleteBackupInstance } from '../../src/instance/delete-backup-instance.ts'
import type { RetentionEffects } from '../../src/instance/effects.ts'
import { approveExpiry } from '../../src/instance/expiry/approve-expiry.ts'
import type { BackupInstance } from '../../src/instance/instance.ts'
import { resumeProtection } from '../../src/instance/resume-protection.ts'
import { retryConfigureProtection } from '../../src/instance/retry-configure-protection.ts'
import { setProofAssertions } from '../../src/instance/set-proof-assertions.ts'
import { stopProtection } from '../../src/instance/stop-protection.ts'
import { undeleteBackupInstance } from '../../src/instance/undelete-backup-instance.ts'
import type { JobRow } from '../../src/job/states.ts'
import { createPolicy } from '../../src/policy/create.ts'
import { holdRecoveryPoint } from '../../src/recovery-point/hold.ts'
import { releaseRecoveryPoint } from '../../src/recovery-point/release.ts'
import { verifyRecoveryPoint } from '../../src/recovery-point/verify.ts'
import { restoreAsFiles } from '../../src/restore/as-files.ts'
import { restoreToServer } from '../../src/restore/to-server.ts'
import { addLife, asked, type LifeSeed } from './lifecycle.ts'
import { findRecoveryPointsOf } from './points.ts'

/** An instance with everything that the operations on it need besides its state. */
export interface Life {
  database: Database
  instance: BackupInstance
  newestPointId: string
  otherPolicyId: string
}

/** What an operation of the lifecycle answers, of what they have in common. */
export interface Outcome {
  instance: BackupInstance
  effects: RetentionEffects
  cancelledJobIds?: string[]
  /** The expiry job that it starts. */
  job?: JobRow | null
}

type Options = typeof asked

export async function live(database: Database, seed?: LifeSeed): Promise<Life> {
  const instance = await addLife(database, seed)
  const { id: otherPolicyId } = await createPolicy(database, {
    name: `other ${instance.id}`,
    defaultRetention: 'P90D',
    schedule: { kind: 'DAILY', times: ['01:00', '13:00'], spreadMinutes: 0 },
    ...asked,
  })
  const [newest] = await findRecoveryPointsOf(database, instance.id)
  return { database, instance, newestPointId: newest?.id ?? '', otherPolicyId }
}

const why = { reason: 'COST', comment: 'too dear' } as const

/** The operations that have a dry run, each as a caller performs it. */
export const rehearsed = {
  RETRY_CONFIGURE_PROTECTION: ({ database, instance }: Life, options: Options): Promise<Outcome> =>
    retryConfigureProtection(database, { instanceId: instance.id, ...options }),
  CHANGE_POLICY: ({ database, instance, otherPolicyId }: Life, options: Options): Promise<Outcome> =>
    changePolicy(database, { instanceId: instance.id, policyId: otherPolicyId, ...options }),
  STOP_PROTECTION_RETAIN_FOREVER: ({ database, instance }: Life, options: Options): Promise<Outcome> =>
    stopProtection(database, { instanceId: instance.id, data: 'RETAIN_FOREVER', ...why, ...options }),
  STOP_PROTECTION_RETAIN_AS_PER_POLICY: ({ database, instance }: Life, options: Options): Promise<Outcome> =>
    stopProtection(database, { instanceId: instance.id, data: 'RETAIN_AS_PER_POLICY', ...why, ...options }),
  RESUME_PROTECTION: async ({ database, instance }: Life, options: Options): Promise<Outcome> => {
    const { cleanUp, ...outcome } = await resumeProtection(database, { instanceId: instance.id, ...options })
    return { ...outcome, job: cleanUp }
  },
  DELETE_BACKUP_INSTANCE: ({ database, instance }: Life, options: Options): Promise<Outcome> =>
    deleteBackupInstance(database, { instanceId: instance.id, confirmName: instance.name, ...why, ...options }),
  UNDELETE_BACKUP_INSTANCE: ({ database, instance }: Life, options: Options): Promise<Outcome> =>
    undeleteBackupInstance(database, { instanceId: instance.id, ...options }),
  APPROVE_EXPIRY: ({ database, instance }: Life, options: Options): Promise<Outcome> =>
    approveExpiry(database, { instanceId: instance.id, ...options }),
}

/** The others. */
export const performed = {
  BACK_UP_NOW: ({ database, instance }: Life, options: Options): Promise<unknown> =>
    backUpNow(database, { instanceId: instance.id, ...options }),
  RESTORE: async ({ database, instance, newestPointId: recoveryPointId }: Life, options: Options): Promise<unknown> => {
    const target = { kind: 'DIRECTORY', path: `/restored/${instance.id}` } as const
    await restoreAsFiles(database, { recoveryPointId, target, databases: null, ...options })
    const server = { serverId: instance.serverId, databases: null, ownership: { kind: 'NONE' } as const }
    return restoreToServer(database, { recoveryPointId, ...server, ...options })
  },
  VERIFY_RECOVERY_POINT: ({ database, newestPointId: recoveryPointId }: Life, options: Options): Promise<unknown> =>
    verifyRecoveryPoint(database, { recoveryPointId, ...options }),
  SET_PROOF_ASSERTIONS: ({ database, instance }: Life, options: Options): Promise<unknown> => {
    const assertions = [{ name: 'orders are there', database: 'shop', query: 'select count(*) > 0 from orders' }]
    return setProofAssertions(database, { instanceId: instance.id, assertions, ...options })
  },
  ACKNOWLEDGE_CONTENT_ANOMALY: ({ database, instance }: Life, options: Options): Promise<unknown> =>
    acknowledgeContentAnomaly(database, {
      instanceId: instance.id,
      recoveryPointId: null,
      comment: 'It was moved.',
      ...options,
    }),
  HOLD_RECOVERY_POINT: ({ database, newestPointId: recoveryPointId }: Life, options: Options): Promise<unknown> =>
    holdRecoveryPoint(database, { recoveryPointId, reason: 'An audit.', until: null, ...options }),
  RELEASE_RECOVERY_POINT: ({ database, newestPointId: recoveryPointId }: Life, options: Options): Promise<unknown> =>
    releaseRecoveryPoint(database, { recoveryPointId, ...options }),
}
