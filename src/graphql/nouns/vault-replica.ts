import { findLastCopiedAt } from '../../recovery-point/copy/find-copies.ts'
import { findMissingCopies, type MissingCopies } from '../../recovery-point/missing-copies.ts'
import { InvalidInput, NotFound } from '../../refusal.ts'
import { findReplicatedVaults } from '../../vault/find-replicated.ts'
import { ReplicaChain, setVaultReplica } from '../../vault/set-replica.ts'
import { ForbiddenByImmutability, type Vault as VaultRow } from '../../vault/vault.ts'
import { batched } from '../schema/batched.ts'
import { builder } from '../schema/builder.ts'
import { mutation } from '../schema/mutation.ts'
import { refusalType } from '../schema/refusals.ts'
import { idOf, Vault } from './declared.ts'
import { asked } from './fields.ts'

/** A point that was made so long ago should have its copy, ms. */
const patienceMs = 60 * 60_000

const missingOf = batched(({ database, now }, vaultIds) => findMissingCopies(database, vaultIds, now()))

const lastCopiedAtOf = batched(({ database }, vaultIds) => findLastCopiedAt(database, vaultIds))

const replicatedOf = batched(({ database }, vaultIds) => findReplicatedVaults(database, vaultIds))

const VaultReplica = builder.objectRef<VaultRow>('VaultReplica').implement({
  description: 'Where a vault has second copies of its recovery points made, and how far that has come.',
  fields: (t) => ({
    vault: t.field({
      type: Vault,
      nullable: true,
      description: 'The vault that gets the copies; null when it was forgotten just now.',
      resolve: ({ replicaId }) => replicaId,
    }),
    retention: t.expose('replicaRetention', {
      type: 'Duration',
      nullable: true,
      description:
        'How long a copy is kept, counted from when its recovery point was made; null: as long as that recovery point.',
    }),
    pendingCopies: t.int({
      description: 'How many recovery points lack their copy, those that are being copied just now among them.',
      resolve: async ({ id }, _args, context) => (await missingOf(context, id, undefined))?.count ?? 0,
    }),
    newestCopiedAt: t.field({
      type: 'DateTime',
      nullable: true,
      description: 'When the last copy was made; null before the first.',
      resolve: async ({ id }, _args, context) => lastCopiedAtOf(context, id, undefined),
    }),
    isBehind: t.boolean({
      description: 'Whether a recovery point that was made more than an hour ago still lacks its copy.',
      resolve: async ({ id }, _args, context) => {
        const oldestAt = (await missingOf(context, id, undefined))?.oldestAt
        return oldestAt != null && context.now().getTime() - oldestAt.getTime() > patienceMs
      },
    }),
  }),
})

builder.objectFields(Vault, (t) => ({
  replica: t.field({
    type: VaultReplica,
    nullable: true,
    description: 'The vault that gets a second copy of every recovery point of this one; null when none is named.',
    resolve: (vault) => (vault.replicaId === null ? null : vault),
  }),
  replicaOf: t.field({
    type: [Vault],
    description: 'The vaults that have second copies of their recovery points made in this one, by name.',
    resolve: async ({ id }, _args, context) => (await replicatedOf(context, id, undefined)) ?? [],
  }),
}))

const CopiesToMake = builder.objectRef<Pick<MissingCopies, 'count' | 'storedBytes'>>('CopiesToMake').implement({
  description: 'Recovery points that lack a second copy.',
  fields: (t) => ({
    count: t.exposeInt('count', { description: 'How many they are.' }),
    storedBytes: t.expose('storedBytes', {
      type: 'ByteCount',
      description: 'How much they take, and their copies will.',
    }),
  }),
})

refusalType(
  ReplicaChain,
  'A vault that gets second copies has none made of what it keeps: one of the two names a replica or is one already.',
  (t) => ({
    vault: t.field({
      type: Vault,
      description: 'The vault that would both give copies and get them.',
      resolve: ({ vaultId }) => vaultId,
    }),
  }),
)

mutation('setVaultReplica', {
  description:
    'Names the vault that gets a second copy of every recovery point of a vault, sealed for its own key: of those that are there by and by, of each new one once it is proven. Copies that are there already stay as they are, whatever is set.',
  input: (t) => ({
    vault: t.globalID({ required: true, description: 'The id of the vault whose recovery points are copied.' }),
    replicaVault: t.globalID({
      description:
        'The id of the vault that gets the copies; null: none is made from now on. Stays as it is when left out.',
    }),
    retention: t.field({
      type: 'Duration',
      description:
        'How long a copy is kept, counted from when its recovery point was made, such as "P90D"; null: as long as that recovery point. Stays as it is when left out.',
    }),
    dryRun: t.boolean({
      required: true,
      defaultValue: false,
      description: 'Whether only to answer what would happen, and to change nothing.',
    }),
  }),
  payload: {
    vault: { type: Vault, description: 'The vault with its new replica, in a dry run with the one it would have.' },
    copiesToMake: { type: CopiesToMake, description: 'The recovery points that are there and get a copy now.' },
  },
  refusals: [InvalidInput, NotFound, ReplicaChain, ForbiddenByImmutability],
  resolve: async ({ vault, replicaVault, retention, dryRun }, context) => {
    const set = await setVaultReplica(context.database, {
      vaultId: idOf('Vault', vault),
      replicaId: replicaVault && idOf('Vault', replicaVault),
      retention,
      limits: context.retentionLimits,
      dryRun,
      ...asked(context),
    })
    return { vault: set.vault, copiesToMake: set.missing }
  },
})
