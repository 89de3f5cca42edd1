import type { BackupInstance as InstanceRow } from '../../../instance/instance.ts'
import { findStandings } from '../../../recovery-point/verification/find-standing.ts'
import { batched } from '../../schema/batched.ts'
import { builder } from '../../schema/builder.ts'
import { BackupInstance } from '../declared.ts'

const standingOf = batched(({ database }, instanceIds) => findStandings(database, instanceIds))

const InstanceVerification = builder.objectRef<InstanceRow>('InstanceVerification').implement({
  description:
    'How far the recovery points of a backup instance have been verified, against what its policy asks for; none of that goes on while it is deleted.',
  fields: (t) => ({
    lastDecodedAt: t.field({
      type: 'DateTime',
      nullable: true,
      description: 'When a recovery point that is there was last decoded to its end; null when none was.',
      resolve: async ({ id }, _args, context) => (await standingOf(context, id, undefined))?.lastDecodedAt,
    }),
    lastRestoredAt: t.field({
      type: 'DateTime',
      nullable: true,
      description:
        'When a recovery point that is there was last restored into a scratch server for proof; null when none was.',
      resolve: async ({ id }, _args, context) => (await standingOf(context, id, undefined))?.lastRestoredAt,
    }),
    dueBy: t.field({
      type: 'DateTime',
      nullable: true,
      description:
        'When the next verification has to have succeeded that the policy asks for; null when it asks for none, or there is no recovery point.',
      resolve: async ({ id }, _args, context) => (await standingOf(context, id, undefined))?.dueBy,
    }),
    isBehind: t.boolean({
      description: 'Whether that moment has passed: verifications do not keep up, or fail.',
      resolve: async ({ id, state }, _args, context) => {
        const dueBy = (await standingOf(context, id, undefined))?.dueBy
        return state !== 'SOFT_DELETED' && dueBy != null && dueBy < context.now()
      },
    }),
  }),
})

builder.objectFields(BackupInstance, (t) => ({
  verification: t.field({
    type: InstanceVerification,
    description: 'How far its recovery points have been verified, against what its policy asks for.',
    resolve: (instance) => instance,
  }),
}))
