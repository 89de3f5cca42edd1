import {
  approveExpiry,
  ContentAnomalyNotAcknowledged,
  NothingToApprove,
} from '../../../instance/expiry/approve-expiry.ts'
import { findKeptBecause } from '../../../instance/expiry/find-kept-because.ts'
import type { BackupInstance as InstanceRow } from '../../../instance/instance.ts'
import { OperationNotAllowed } from '../../../instance/states.ts'
import type { RecoveryPoint as PointRow } from '../../../recovery-point/recovery-point.ts'
import { NotFound } from '../../../refusal.ts'
import { batched } from '../../schema/batched.ts'
import { builder } from '../../schema/builder.ts'
import { mutation } from '../../schema/mutation.ts'
import { refusalType } from '../../schema/refusals.ts'
import { BackupInstance, idOf, Job, RecoveryPoint } from '../declared.ts'
import { KeptBecause } from '../enums.ts'
import { asked } from '../fields.ts'
import { dryRunField, outcome } from './lifecycle.ts'

refusalType(NothingToApprove, 'No expiry of the backup instance waits for approval.')

const keptBecauseOf = batched(({ database, now }, pointIds) => findKeptBecause(database, { pointIds, now: now() }))

const PendingExpiry = builder.objectRef<InstanceRow>('PendingExpiry').implement({
  description: 'An expiry that stopped because it would have removed too great a share of the recovery points at once.',
  fields: (t) => ({
    blockedSince: t.field({
      type: 'DateTime',
      description:
        'Since when it waits for approval; recovery points that expired later are not meant. When too great a share of those joins them, it is since then.',
      resolve: ({ expiryBlockedAt, createdAt }) => expiryBlockedAt ?? createdAt,
    }),
    pointCount: t.int({
      description: 'How many recovery points it would have removed then.',
      resolve: ({ expiryBlockedCount }) => expiryBlockedCount ?? 0,
    }),
  }),
})

builder.objectFields(BackupInstance, (t) => ({
  pendingExpiry: t.field({
    type: PendingExpiry,
    nullable: true,
    description: 'The expiry that waits for approveExpiry; null when none does.',
    resolve: (instance) => (instance.expiryBlockedAt === null ? null : instance),
  }),
  expiryDueAt: t.expose('expiryDueAt', {
    type: 'DateTime',
    nullable: true,
    description:
      'When it is looked at next: what has expired is removed, and the vault is compared with what is known of it. A week ahead at most; null while it has no recovery points, or is deleted.',
  }),
}))

const RecoveryPointRemoval = builder.objectRef<PointRow>('RecoveryPointRemoval').implement({
  description: 'The removal of a recovery point that is planned or under way.',
  fields: (t) => ({
    markedAt: t.field({
      type: 'DateTime',
      description: 'When it was chosen for removal.',
      resolve: ({ markedAt, createdAt }) => markedAt ?? createdAt,
    }),
    reason: t.string({ description: 'Why it goes.', resolve: ({ markReason }) => markReason ?? '' }),
    sweepsAt: t.field({
      type: 'DateTime',
      description:
        'When its bytes go, or began to go: until then the removal can be taken back, by holdRecoveryPoint for one.',
      resolve: ({ sweepStartedAt, markedAt, createdAt }, _args, { removalGraceMs }) =>
        sweepStartedAt ?? new Date((markedAt ?? createdAt).getTime() + removalGraceMs),
    }),
  }),
})

builder.objectFields(RecoveryPoint, (t) => ({
  keptBecause: t.field({
    type: [KeptBecause],
    description:
      'Every reason that keeps it from being removed now; empty when the next expiry run takes it, or its removal is under way.',
    resolve: async ({ id }, _args, context) => (await keptBecauseOf(context, id, undefined)) ?? [],
  }),
  removal: t.field({
    type: RecoveryPointRemoval,
    nullable: true,
    description: 'Its removal, once it was chosen for that; null before.',
    resolve: (point) => (point.markedAt === null ? null : point),
  }),
}))

mutation('approveExpiry', {
  description:
    'Lets an expiry go on that stopped because it would remove too great a share of the recovery points at once: those that had expired when it stopped go, under the usual guards. Without it they stay, however the share changes meanwhile.',
  input: (t) => ({
    backupInstance: t.globalID({ required: true, description: 'The id of the backup instance.' }),
    dryRun: t.boolean(dryRunField),
  }),
  payload: {
    ...outcome,
    job: { type: Job, nullable: true, description: 'The job that removes them; null on a dry run.' },
  },
  refusals: [NotFound, OperationNotAllowed, NothingToApprove, ContentAnomalyNotAcknowledged],
  resolve: async ({ backupInstance, dryRun }, context) => {
    const { instance, effects, job } = await approveExpiry(context.database, {
      instanceId: idOf('BackupInstance', backupInstance),
      dryRun,
      ...asked(context),
    })
    return { backupInstance: instance, effects, job }
  },
})
