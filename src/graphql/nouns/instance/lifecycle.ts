import { changePolicy } from '../../../instance/change-policy.ts'
import { deleteBackupInstance, PointsOnHold } from '../../../instance/delete-backup-instance.ts'
import { resumeProtection } from '../../../instance/resume-protection.ts'
import { retryConfigureProtection } from '../../../instance/retry-configure-protection.ts'
import { OperationNotAllowed } from '../../../instance/states.ts'
import { type StopProtection, type Stopped, stopProtection } from '../../../instance/stop-protection.ts'
import { ConfirmationMismatch, InvalidInput, NotFound } from '../../../refusal.ts'
import { ServerWithoutCredentials } from '../../../server/server.ts'
import { ForbiddenByImmutability } from '../../../vault/vault.ts'
import { builder } from '../../schema/builder.ts'
import { enumeration } from '../../schema/enumeration.ts'
import { mutation } from '../../schema/mutation.ts'
import { BackupInstance, idOf, Job } from '../declared.ts'
import { StopReason } from '../enums.ts'
import { asked } from '../fields.ts'
import { RetentionEffects } from './retention-effects.ts'

const RetainOrDelete = enumeration<StopProtection['data'] | 'DELETE'>(
  'RetainOrDelete',
  'What becomes of the recovery points when protection is stopped.',
  {
    RETAIN_FOREVER: 'All of them are kept for ever; nothing expires any more.',
    RETAIN_AS_PER_POLICY: 'They go on expiring on their own dates, but the newest restorable one is kept for ever.',
    DELETE: 'The backup instance is deleted with them, as by deleteBackupInstance.',
  },
)

builder.objectFields(BackupInstance, (t) => ({
  stopReason: t.expose('stopReason', {
    type: StopReason,
    nullable: true,
    description:
      'Why protection was stopped or the backup instance deleted; null while it is not, or when none was given.',
  }),
  stopComment: t.exposeString('stopComment', {
    nullable: true,
    description: 'What was said about that; null when nothing was.',
  }),
  deletedAt: t.expose('deletedAt', {
    type: 'DateTime',
    nullable: true,
    description: 'When it was deleted; null while it is not.',
  }),
  scheduledPurgeAt: t.expose('scheduledPurgeAt', {
    type: 'DateTime',
    nullable: true,
    description: 'Until when it can be undeleted: then its data is purged; null while it is not deleted.',
  }),
}))

/** The flag of every operation that can be rehearsed: an explicit null is no answer to it. */
export const dryRunField = {
  required: true,
  defaultValue: false,
  description: 'Whether to answer what would happen and change nothing.',
} as const
const instanceId = 'The id of the backup instance.'

/** What every operation of the lifecycle answers. */
export const outcome = {
  backupInstance: {
    type: BackupInstance,
    description: 'The backup instance as it is then; on a dry run, as it would be.',
  },
  effects: { type: RetentionEffects, description: 'What becomes of its recovery points.' },
}

const jobs: [typeof Job] = [Job]

/** What stopping and deleting answer. */
export const stoppedOutcome = {
  ...outcome,
  cancelledJobs: {
    type: jobs,
    description:
      'The jobs that it cancels, a running backup that it asks to stop among them; on a dry run, those that it would, as they are.',
  },
  purge: {
    type: Job,
    nullable: true as const,
    description:
      'The job that purges what was deleted, where the vault has soft delete off; null where it is on, when nothing is deleted, and on a dry run.',
  },
}

/** The answer of stopping and deleting. */
export function stoppedAnswer({ instance, effects, cancelledJobIds, purge }: Stopped) {
  return { backupInstance: instance, effects, cancelledJobs: cancelledJobIds, purge }
}

mutation('retryConfigureProtection', {
  description: 'Checks server and vault again after a configuration that failed.',
  input: (t) => ({
    backupInstance: t.globalID({ required: true, description: instanceId }),
    dryRun: t.boolean(dryRunField),
  }),
  payload: {
    ...outcome,
    job: {
      type: Job,
      nullable: true,
      description: 'The job that checks the server and the vault; null on a dry run.',
    },
  },
  refusals: [NotFound, OperationNotAllowed, ServerWithoutCredentials],
  resolve: async ({ backupInstance, dryRun }, context) => {
    const { instance, effects, job } = await retryConfigureProtection(context.database, {
      instanceId: idOf('BackupInstance', backupInstance),
      dryRun,
      ...asked(context),
    })
    return { backupInstance: instance, effects, job: dryRun ? null : job }
  },
})

mutation('changePolicy', {
  description:
    'Lets a backup instance follow another policy, for recovery points made from now on; those that are there keep their tag and their expiry.',
  input: (t) => ({
    backupInstance: t.globalID({ required: true, description: instanceId }),
    policy: t.globalID({ required: true, description: 'The id of the policy to follow.' }),
    dryRun: t.boolean(dryRunField),
  }),
  payload: {
    ...outcome,
    shortenings: {
      type: ['String'],
      description:
        'What becomes shorter, rarer or less guarded than under the former policy, one sentence each; empty when nothing does.',
    },
  },
  refusals: [NotFound, OperationNotAllowed, ForbiddenByImmutability],
  resolve: async ({ backupInstance, policy, dryRun }, context) => {
    const { instance, effects, shortenings } = await changePolicy(context.database, {
      instanceId: idOf('BackupInstance', backupInstance),
      policyId: idOf('BackupPolicy', policy),
      dryRun,
      ...asked(context),
    })
    return { backupInstance: instance, effects, shortenings }
  },
})

mutation('stopProtection', {
  description:
    'Stops the schedule of a backup instance and says what becomes of its recovery points; a backup that runs finishes unless the data is deleted.',
  input: (t) => ({
    backupInstance: t.globalID({ required: true, description: instanceId }),
    data: t.field({ type: RetainOrDelete, required: true, description: 'What becomes of its recovery points.' }),
    reason: t.field({ type: StopReason, description: 'Why protection is stopped.' }),
    comment: t.string({ description: 'What else is worth knowing, in at most 2,000 characters.' }),
    confirmName: t.string({
      description: 'The exact name of the backup instance, as confirmation; needed to delete, else not looked at.',
    }),
    dryRun: t.boolean(dryRunField),
  }),
  payload: stoppedOutcome,
  refusals: [InvalidInput, NotFound, OperationNotAllowed, ConfirmationMismatch, PointsOnHold, ForbiddenByImmutability],
  resolve: async ({ backupInstance, data, reason, comment, confirmName, dryRun }, context) => {
    const input = {
      instanceId: idOf('BackupInstance', backupInstance),
      reason: reason ?? null,
      comment: comment ?? null,
      dryRun,
      ...asked(context),
    }
    return stoppedAnswer(
      data === 'DELETE'
        ? await deleteBackupInstance(context.database, { ...input, confirmName: confirmName ?? '' })
        : await stopProtection(context.database, { ...input, data }),
    )
  },
})

mutation('resumeProtection', {
  description:
    'Protects a server again whose protection was stopped: the schedule runs, and recovery points expire on their own dates.',
  input: (t) => ({
    backupInstance: t.globalID({ required: true, description: instanceId }),
    dryRun: t.boolean(dryRunField),
  }),
  payload: {
    ...outcome,
    job: {
      type: Job,
      nullable: true,
      description:
        'The job that removes the recovery points whose time is over already; null when it would remove none, those that wait for approveExpiry apart, and on a dry run.',
    },
  },
  refusals: [NotFound, OperationNotAllowed, ServerWithoutCredentials],
  resolve: async ({ backupInstance, dryRun }, context) => {
    const { instance, effects, cleanUp } = await resumeProtection(context.database, {
      instanceId: idOf('BackupInstance', backupInstance),
      dryRun,
      ...asked(context),
    })
    return { backupInstance: instance, effects, job: cleanUp }
  },
})
