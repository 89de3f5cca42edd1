import { PlaceHeldBySoftDeleted } from '../../../instance/configure-protection.ts'
import { deleteBackupInstance, PointsOnHold } from '../../../instance/delete-backup-instance.ts'
import { OperationNotAllowed } from '../../../instance/states.ts'
import { PurgeHasBegun, undeleteBackupInstance } from '../../../instance/undelete-backup-instance.ts'
import { ConfirmationMismatch, InvalidInput, NotFound } from '../../../refusal.ts'
import { ServerBeingRestoredInto } from '../../../server/remove.ts'
import { ForbiddenByImmutability } from '../../../vault/vault.ts'
import { mutation } from '../../schema/mutation.ts'
import { refusalType } from '../../schema/refusals.ts'
import { BackupInstance, idOf, Job } from '../declared.ts'
import { StopReason } from '../enums.ts'
import { asked } from '../fields.ts'
import { dryRunField, outcome, stoppedAnswer, stoppedOutcome } from './lifecycle.ts'

refusalType(PointsOnHold, 'Recovery points are on hold: their backup instance is not deleted.', (t) => ({
  count: t.exposeInt('count', { description: 'How many recovery points are on hold.' }),
}))

refusalType(PurgeHasBegun, 'The deleted data is being purged: it cannot be had back any more.', (t) => ({
  purgeStartedAt: t.expose('purgeStartedAt', { type: 'DateTime', description: 'When the purge began.' }),
}))

refusalType(
  PlaceHeldBySoftDeleted,
  'A deleted backup instance still holds the place of the server in the vault.',
  (t) => ({
    backupInstance: t.field({
      type: BackupInstance,
      description: 'The deleted backup instance; it can be undeleted.',
      resolve: (refusal) => refusal.instanceId,
    }),
    scheduledPurgeAt: t.expose('scheduledPurgeAt', {
      type: 'DateTime',
      description: 'When its data is purged; the place is free once that has ended.',
    }),
  }),
)

refusalType(ServerBeingRestoredInto, 'A restore into the server is queued or running.', (t) => ({
  runningJob: t.field({ type: Job, description: 'That restore.', resolve: (refusal) => refusal.runningJobId }),
}))

mutation('deleteBackupInstance', {
  description:
    'Deletes a backup instance with its recovery points: until scheduledPurgeAt it can be undeleted, then its data is purged. Where the vault has soft delete off, the purge begins at once.',
  input: (t) => ({
    backupInstance: t.globalID({ required: true, description: 'The id of the backup instance.' }),
    confirmName: t.string({
      required: true,
      description: 'The exact name of the backup instance, as confirmation that this one is meant.',
    }),
    reason: t.field({ type: StopReason, description: 'Why it is deleted.' }),
    comment: t.string({ description: 'What else is worth knowing, in at most 2,000 characters.' }),
    dryRun: t.boolean(dryRunField),
  }),
  payload: stoppedOutcome,
  refusals: [InvalidInput, NotFound, OperationNotAllowed, ConfirmationMismatch, PointsOnHold, ForbiddenByImmutability],
  resolve: async ({ backupInstance, confirmName, reason, comment, dryRun }, context) =>
    stoppedAnswer(
      await deleteBackupInstance(context.database, {
        instanceId: idOf('BackupInstance', backupInstance),
        confirmName,
        reason: reason ?? null,
        comment: comment ?? null,
        dryRun,
        ...asked(context),
      }),
    ),
})

mutation('undeleteBackupInstance', {
  description:
    'Has a deleted backup instance back with its recovery points, all kept for ever; its backups start again only when protection is resumed.',
  input: (t) => ({
    backupInstance: t.globalID({ required: true, description: 'The id of the deleted backup instance.' }),
    dryRun: t.boolean(dryRunField),
  }),
  payload: outcome,
  refusals: [NotFound, OperationNotAllowed, PurgeHasBegun],
  resolve: async ({ backupInstance, dryRun }, context) => {
    const { instance, effects } = await undeleteBackupInstance(context.database, {
      instanceId: idOf('BackupInstance', backupInstance),
      dryRun,
      ...asked(context),
    })
    return { backupInstance: instance, effects }
  },
})
