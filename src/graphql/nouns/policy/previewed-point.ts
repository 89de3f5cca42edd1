import type { PreviewedPoint } from '../../../policy/preview.ts'
import type { KeptBecause as ReasonToKeep } from '../../../retention/decide-expiry.ts'
import { builder, type Types } from '../../schema/builder.ts'
import { connectionBy } from '../../schema/connections.ts'
import { encodePageCursor } from '../../schema/paging.ts'
import { KeptBecause, RetentionTag } from '../enums.ts'

/** Previewed points have no ids: their times tell them apart. */
const noId = '00000000-0000-0000-0000-000000000000'

function pointFields<Row extends PreviewedPoint>(t: PothosSchemaTypes.ObjectFieldBuilder<Types, Row>) {
  return {
    createdAt: t.field({
      type: 'DateTime',
      description: 'When it would be made: a start by the schedule.',
      resolve: (point) => point.createdAt,
    }),
    tag: t.field({
      type: RetentionTag,
      description: 'The rule that would decide how long it is kept.',
      resolve: (point) => point.tag,
    }),
    reason: t.string({ description: 'Why that rule, as a sentence.', resolve: (point) => point.reason }),
    expiresAt: t.field({
      type: 'DateTime',
      description: 'When its time would be over.',
      resolve: (point) => point.expiresAt,
    }),
    goesAt: t.field({
      type: 'DateTime',
      nullable: true,
      description: 'When it would go: its time is over and there is a newer one; null for the newest of all.',
      resolve: (point) => point.goesAt,
    }),
  }
}

export const PreviewedRecoveryPoint = builder.objectRef<PreviewedPoint>('PreviewedRecoveryPoint').implement({
  description: 'A recovery point that a policy would make.',
  fields: (t) => pointFields(t),
})

export const PreviewedRecoveryPointConnection = connectionBy<PreviewedPoint>(PreviewedRecoveryPoint, ({ createdAt }) =>
  encodePageCursor(PreviewedRecoveryPoint, { at: createdAt, id: noId }),
)

export const PreviewedKeptPoint = builder
  .objectRef<PreviewedPoint & { keptBecause: ReasonToKeep[] }>('PreviewedKeptPoint')
  .implement({
    description: 'A recovery point that would exist at a moment, and why.',
    fields: (t) => ({
      ...pointFields(t),
      keptBecause: t.expose('keptBecause', {
        type: [KeptBecause],
        description: 'Every reason that it would stay for.',
      }),
    }),
  })
