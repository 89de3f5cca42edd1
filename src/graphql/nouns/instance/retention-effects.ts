import type { RetentionEffects as Effects, PointSet } from '../../../instance/effects.ts'
import { countRecoveryPoints, pageRecoveryPoints } from '../../../recovery-point/find.ts'
import { builder } from '../../schema/builder.ts'
import { pageArgs, pageRequest } from '../../schema/paging.ts'
import { RecoveryPoint, RecoveryPointConnection } from '../declared.ts'

const RecoveryPointSet = builder.objectRef<PointSet>('RecoveryPointSet').implement({
  description: 'Some recovery points of one backup instance.',
  fields: (t) => ({
    count: t.int({ description: 'How many they are.', resolve: ({ ids }) => ids.length }),
    storedBytes: t.expose('storedBytes', {
      type: 'ByteCount',
      description: 'How much they take in the vault together, as stored.',
    }),
    recoveryPoints: t.field({
      type: RecoveryPointConnection,
      description: 'The recovery points themselves, newest first; one that is gone by now is left out.',
      args: pageArgs(t),
      resolve: async (filter, args, { database }) => ({
        page: await pageRecoveryPoints(database, { filter, page: pageRequest(RecoveryPoint, args) }),
        count: () => countRecoveryPoints(database, filter),
      }),
    }),
  }),
})

export const RetentionEffects = builder.objectRef<Effects>('RetentionEffects').implement({
  description:
    'What becomes of the recovery points of a backup instance by an operation; a dry run and the real run say the same. Recovery points that it makes no difference to are in none of the sets.',
  fields: (t) => ({
    removed: t.expose('removed', {
      type: RecoveryPointSet,
      description: 'The recovery points that go, those among them that were on their way out already.',
    }),
    removedAt: t.expose('removedAt', {
      type: 'DateTime',
      nullable: true,
      description: 'When their removal begins; null when none goes.',
    }),
    keptForever: t.expose('keptForever', {
      type: RecoveryPointSet,
      description:
        'The recovery points that are not removed, whatever their expiry, for as long as the backup instance stays in the state that the operation leads to.',
    }),
    startsExpiring: t.expose('startsExpiring', {
      type: RecoveryPointSet,
      description: 'The recovery points that were kept for ever and from now on go when their own time is over.',
    }),
    awaitingApproval: t.expose('awaitingApproval', {
      type: RecoveryPointSet,
      description:
        'The recovery points whose time is over and that are too great a share of all to go at once: they stay until approveExpiry lets them go.',
    }),
  }),
})
