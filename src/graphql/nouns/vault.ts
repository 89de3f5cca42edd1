import { InvalidInput, NameTaken, NotFound } from '../../refusal.ts'
import { LocationTakenByStorageAccount } from '../../storage-account/storage-account.ts'
import { createVault } from '../../vault/create.ts'
import { exportRecoveryKey, RecoveryKeyAlreadyExported } from '../../vault/export-recovery-key.ts'
import { countVaults, pageVaults } from '../../vault/find.ts'
import { LocationTaken } from '../../vault/vault.ts'
import { builder } from '../schema/builder.ts'
import { mutation } from '../schema/mutation.ts'
import { nodeQuery } from '../schema/node.ts'
import { pageArgs, pageRequest } from '../schema/paging.ts'
import { BackupInstanceConnection, idOf, Vault, VaultConnection } from './declared.ts'
import { Immutability, StorageKind } from './enums.ts'
import { asked, instancesField } from './fields.ts'
import { holdingsOf } from './loaded.ts'
import { locationOf, VaultLocation } from './vault-location.ts'
import { SoftDelete } from './vault-security.ts'

Vault.implement({
  description: 'Where recovery points are kept: a storage location, and the key that everything in it is sealed for.',
  fields: (t) => ({
    name: t.exposeString('name', { description: 'The name that was given to the vault; no other vault has it.' }),
    storageKind: t.expose('kind', { type: StorageKind, description: 'What kind of place it keeps its bytes in.' }),
    directory: t.string({
      nullable: true,
      description: "The absolute path of its directory on the worker's machine; null for other kinds of storage.",
      resolve: ({ location }) => (location.kind === 'DIRECTORY' ? location.path : null),
    }),
    recipient: t.exposeString('recipient', {
      description: 'The age recipient (public key) that everything in the vault is sealed for.',
    }),
    recoveryKeyExportedAt: t.expose('recoveryKeyExportedAt', {
      type: 'DateTime',
      nullable: true,
      description:
        'When the recovery key was handed out; null while nobody has it, and then only Holdfast can open the vault.',
    }),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When the vault was created.' }),
    backupInstances: t.field({
      type: BackupInstanceConnection,
      description: 'The backup instances that keep their recovery points here, newest first.',
      args: pageArgs(t),
      resolve: (vault, args, context) => instancesField('vault', vault, args, context),
    }),
    storedBytes: t.field({
      type: 'ByteCount',
      description: 'How much the artifacts of its recovery points take, second copies of others among them, as stored.',
      resolve: async ({ id }, _args, context) => (await holdingsOf(context, id, 'vault'))?.storedBytes ?? 0,
    }),
    recoveryPointCount: t.int({
      description: 'How many recovery points it keeps, second copies of others among them.',
      resolve: async ({ id }, _args, context) => (await holdingsOf(context, id, 'vault'))?.pointCount ?? 0,
    }),
  }),
})

nodeQuery('vault', Vault, 'A vault by its id; null when there is none.')

builder.queryField('vaults', (t) =>
  t.field({
    type: VaultConnection,
    description: 'All vaults, newest first.',
    args: pageArgs(t),
    resolve: async (_root, args, { database }) => ({
      page: await pageVaults(database, { page: pageRequest(Vault, args) }),
      count: () => countVaults(database),
    }),
  }),
)

mutation('createVault', {
  description:
    'Adds a vault with a key of its own. Its place is marked, and a directory made, when protection is first configured with it.',
  input: (t) => ({
    name: t.string({ required: true, description: 'A name of 1 to 200 characters that no other vault has.' }),
    location: t.field({ type: VaultLocation, required: true, description: 'Where it keeps its bytes.' }),
    softDelete: t.field({
      type: SoftDelete,
      description: 'How long deleted backup instances can be had back; 14 days when left out.',
    }),
    immutability: t.field({
      type: Immutability,
      required: true,
      defaultValue: 'DISABLED',
      description:
        'Whether the ways to remove recovery points before their time are shut: DISABLED or UNLOCKED; a vault is LOCKED later, by updateVaultSecurity.',
    }),
  }),
  payload: { vault: { type: Vault, description: 'The new vault.' } },
  refusals: [InvalidInput, NameTaken, LocationTaken, LocationTakenByStorageAccount],
  resolve: async ({ name, location, softDelete, immutability }, context) => ({
    vault: await createVault(context.database, {
      name,
      location: locationOf(location),
      softDeleteDays: softDelete?.retentionDays,
      immutability,
      secrets: context.secrets,
      ...asked(context),
    }),
  }),
})

mutation('exportRecoveryKey', {
  description:
    "Hands out the vault's secret key once, to be kept away from Holdfast: with it and the vault's files alone, every recovery point can be restored.",
  input: (t) => ({
    vault: t.globalID({ required: true, description: 'The id of the vault.' }),
  }),
  payload: {
    vault: { type: Vault, description: 'The vault whose key it is.' },
    recoveryKey: {
      type: 'String',
      description: 'The secret key, an age identity; it is never shown again.',
    },
  },
  refusals: [NotFound, RecoveryKeyAlreadyExported],
  resolve: (input, context) =>
    exportRecoveryKey(context.database, {
      vaultId: idOf('Vault', input.vault),
      secrets: context.secrets,
      ...asked(context),
    }),
})
