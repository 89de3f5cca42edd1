import { countOrphansOf, type VaultOrphan as OrphanRow, pageOrphansOf } from '../../vault/find-orphans.ts'
import { batched } from '../schema/batched.ts'
import { builder } from '../schema/builder.ts'
import { connectionBy } from '../schema/connections.ts'
import { enumeration } from '../schema/enumeration.ts'
import { encodePageCursor, namedPageRequest, pageArgs } from '../schema/paging.ts'
import { BackupInstance, RecoveryPoint, Vault } from './declared.ts'
import { none } from './fields.ts'

const orphansOf = batched(
  ({ database }, vaultIds, page: ReturnType<typeof namedPageRequest>) => pageOrphansOf(database, { vaultIds, page }),
  ({ first, last }) => last ?? first ?? 0,
)

const orphanCountOf = batched(({ database }, vaultIds) => countOrphansOf(database, vaultIds))

const OrphanKind = enumeration<OrphanRow['kind']>(
  'VaultOrphanKind',
  'How a vault and the catalogue of its recovery points disagree.',
  {
    BYTES_WITHOUT_ROW: 'Something lies in the vault that belongs to no recovery point and to no running backup.',
    ROW_WITHOUT_BYTES: 'A recovery point has lost its header, its manifest or other files; it is SUSPECT for that.',
  },
)

const VaultOrphan = builder.objectRef<OrphanRow>('VaultOrphan').implement({
  description:
    'Something in a vault that its catalogue does not account for, or the other way round, as expiry runs last saw it. Holdfast never removes it by itself.',
  fields: (t) => ({
    folder: t.exposeString('prefix', { description: 'Where it lies in the vault.' }),
    kind: t.expose('kind', { type: OrphanKind, description: 'How vault and catalogue disagree about it.' }),
    backupInstance: t.field({
      type: BackupInstance,
      nullable: true,
      description: 'The backup instance in whose folder it lies; null when that is gone.',
      resolve: ({ instanceId }) => instanceId,
    }),
    recoveryPoint: t.field({
      type: RecoveryPoint,
      nullable: true,
      description: 'The recovery point that has lost files; null when it belongs to none, or that is gone.',
      resolve: ({ recoveryPointId }) => recoveryPointId,
    }),
    objectCount: t.exposeInt('objectCount', { description: 'How many files lie there.' }),
    sizeBytes: t.expose('sizeBytes', { type: 'ByteCount', description: 'How much those files take together.' }),
    firstSeenAt: t.expose('firstSeenAt', { type: 'DateTime', description: 'When it was first seen.' }),
    lastSeenAt: t.expose('lastSeenAt', { type: 'DateTime', description: 'When it was last seen to be there still.' }),
  }),
})

const VaultOrphanConnection = connectionBy<OrphanRow>(VaultOrphan, ({ firstSeenAt, instanceId, prefix }) =>
  encodePageCursor(VaultOrphan, { at: firstSeenAt, id: instanceId, name: prefix }),
)

builder.objectFields(Vault, (t) => ({
  orphans: t.field({
    type: VaultOrphanConnection,
    description: 'Where the vault and its catalogue disagree, in the order of the folders.',
    args: pageArgs(t),
    resolve: async ({ id }, args, context) => ({
      page: (await orphansOf(context, id, namedPageRequest(VaultOrphan, args))) ?? none,
      count: async () => (await orphanCountOf(context, id, undefined)) ?? 0,
    }),
  }),
  orphanCount: t.int({
    description: 'In how many places the vault and its catalogue disagree, as expiry runs last saw it.',
    resolve: async ({ id }, _args, context) => (await orphanCountOf(context, id, undefined)) ?? 0,
  }),
}))
