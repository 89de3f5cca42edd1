import { OperationNotAllowed } from '../../../instance/states.ts'
import { holdRecoveryPoint } from '../../../recovery-point/hold.ts'
import {
  isOnHold,
  type RecoveryPoint as PointRow,
  RecoveryPointBeingRemoved,
} from '../../../recovery-point/recovery-point.ts'
import { NotOnHold, releaseRecoveryPoint } from '../../../recovery-point/release.ts'
import { InvalidInput, NotFound } from '../../../refusal.ts'
import { builder } from '../../schema/builder.ts'
import { mutation } from '../../schema/mutation.ts'
import { refusalType } from '../../schema/refusals.ts'
import { idOf, RecoveryPoint } from '../declared.ts'
import { asked } from '../fields.ts'

refusalType(
  RecoveryPointBeingRemoved,
  'The recovery point was chosen for removal, because its time is over: nothing is begun with it any more.',
  (t) => ({
    isFinal: t.exposeBoolean('isFinal', {
      description: 'Whether its bytes are going already; while they are not, a hold takes the removal back.',
    }),
  }),
)

refusalType(NotOnHold, 'The recovery point is not on hold: there is nothing to release.')

const RecoveryPointHold = builder.objectRef<PointRow>('RecoveryPointHold').implement({
  description: 'Why a recovery point is not removed, whatever its expiry, until the hold ends.',
  fields: (t) => ({
    reason: t.string({
      description: 'Why it must not go.',
      resolve: ({ holdReason }) => holdReason ?? '',
    }),
    by: t.string({ description: 'Who put it on hold, as `viewer` named them.', resolve: ({ heldBy }) => heldBy ?? '' }),
    since: t.field({
      type: 'DateTime',
      description: 'When it was put on hold.',
      resolve: ({ heldAt, createdAt }) => heldAt ?? createdAt,
    }),
    until: t.expose('holdUntil', {
      type: 'DateTime',
      nullable: true,
      description: 'When the hold ends by itself; null when it lasts until it is released.',
    }),
  }),
})

builder.objectFields(RecoveryPoint, (t) => ({
  hold: t.field({
    type: RecoveryPointHold,
    nullable: true,
    description: 'The hold that keeps it from being removed; null when it is not on hold.',
    resolve: (point, _args, { now }) => (isOnHold(point, now()) ? point : null),
  }),
}))

mutation('holdRecoveryPoint', {
  description:
    'Puts a recovery point on hold: it is not removed, whatever its expiry, before the hold ends. Takes back a removal whose bytes are not going yet; a new hold replaces the one before.',
  input: (t) => ({
    recoveryPoint: t.globalID({ required: true, description: 'The id of the recovery point.' }),
    reason: t.string({
      required: true,
      description: 'Why it must not go, in at most 2,000 characters: whoever wants it removed will read that.',
    }),
    until: t.field({
      type: 'DateTime',
      description: 'When the hold ends by itself; it lasts until it is released when left out.',
    }),
  }),
  payload: { recoveryPoint: { type: RecoveryPoint, description: 'The recovery point, on hold.' } },
  refusals: [InvalidInput, NotFound, OperationNotAllowed, RecoveryPointBeingRemoved],
  resolve: async ({ recoveryPoint, reason, until }, context) => ({
    recoveryPoint: await holdRecoveryPoint(context.database, {
      recoveryPointId: idOf('RecoveryPoint', recoveryPoint),
      reason,
      until: until ?? null,
      ...asked(context),
    }),
  }),
})

mutation('releaseRecoveryPoint', {
  description: 'Ends the hold of a recovery point: it goes when its own time is over, at once when that is past.',
  input: (t) => ({
    recoveryPoint: t.globalID({ required: true, description: 'The id of the recovery point.' }),
  }),
  payload: { recoveryPoint: { type: RecoveryPoint, description: 'The recovery point, no longer on hold.' } },
  refusals: [NotFound, OperationNotAllowed, NotOnHold],
  resolve: async ({ recoveryPoint }, context) => ({
    recoveryPoint: await releaseRecoveryPoint(context.database, {
      recoveryPointId: idOf('RecoveryPoint', recoveryPoint),
      ...asked(context),
    }),
  }),
})
