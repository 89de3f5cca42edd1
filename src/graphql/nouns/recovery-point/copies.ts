import { findCopies } from '../../../recovery-point/copy/find-copies.ts'
import { batched } from '../../schema/batched.ts'
import { builder } from '../../schema/builder.ts'
import { RecoveryPoint } from '../declared.ts'

/** A point has as many copies as its vault has named replicas since: few. */
const copiesOf = batched(
  ({ database }, pointIds) => findCopies(database, pointIds),
  () => 10,
)

builder.objectFields(RecoveryPoint, (t) => ({
  isCopy: t.boolean({
    description: 'Whether it is a second copy of another recovery point, in the replica of the vault of that one.',
    resolve: ({ copyOfId }) => copyOfId !== null,
  }),
  copyOf: t.field({
    type: RecoveryPoint,
    nullable: true,
    description: 'The recovery point that it is a second copy of; null for an original, and when that is gone.',
    resolve: ({ copyOfId }) => copyOfId,
  }),
  copiedAt: t.expose('copiedAt', {
    type: 'DateTime',
    nullable: true,
    description: 'When the copy was made; null for an original. Its `createdAt` is that of its original.',
  }),
  copies: t.field({
    type: [RecoveryPoint],
    description:
      'Its second copies in other vaults, the oldest copy first: recovery points of their own, which can be restored, verified and held by their own ids, and go when their own time is over.',
    resolve: async ({ id }, _args, context) => (await copiesOf(context, id, undefined)) ?? [],
  }),
}))
