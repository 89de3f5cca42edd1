import { InvalidInput, NameTaken, NotFound } from '../../../refusal.ts'
import { createStorageAccount } from '../../../storage-account/create.ts'
import { createStorageContainer } from '../../../storage-account/create-container.ts'
import { countStorageAccounts, pageStorageAccounts } from '../../../storage-account/find.ts'
import {
  LocationTakenByStorageAccount,
  type StorageAccount as StorageAccountRow,
} from '../../../storage-account/storage-account.ts'
import { LocationTaken } from '../../../vault/vault.ts'
import { builder } from '../../schema/builder.ts'
import { searchText } from '../../schema/filter-checks.ts'
import { mutation } from '../../schema/mutation.ts'
import { nodeQuery } from '../../schema/node.ts'
import { pageArgs, pageRequest } from '../../schema/paging.ts'
import {
  idOf,
  StorageAccount,
  StorageAccountConnection,
  StorageContainer,
  StorageContainerConnection,
  Vault,
} from '../declared.ts'
import { StorageKind } from '../enums.ts'
import { asked, none } from '../fields.ts'
import { containerCountOf, containersOf, resourceInstancesOf } from '../loaded.ts'
import { S3Bucket, S3BucketInput } from '../vault-bucket.ts'
import { PublicNetworkAccess } from './network-rules.ts'

const StorageAccountCapabilities = builder
  .objectRef<NonNullable<StorageAccountRow['capabilities']>>('StorageAccountCapabilities')
  .implement({
    description:
      "What a storage account's storage was seen to be able to do, when a restore or a validation last tried it.",
    fields: (t) => ({
      conditionalCreate: t.exposeBoolean('conditionalCreate', {
        description:
          'Whether the storage itself lets only the first of two writers of one file succeed; if not, a restore looks before it writes.',
      }),
      largestObjectBytes: t.expose('largestObjectBytes', {
        type: 'ByteCount',
        nullable: true,
        description: 'The largest file that it can keep; null where only its space sets an end.',
      }),
    }),
  })

StorageAccount.implement({
  description:
    'A place that restores as files write into: a directory or a bucket, with network rules that say which vaults may write.',
  fields: (t) => ({
    name: t.exposeString('name', { description: 'The name that was given to it; no other storage account has it.' }),
    storageKind: t.expose('kind', { type: StorageKind, description: 'What kind of place it is.' }),
    directory: t.string({
      nullable: true,
      description: "The absolute path of its directory on the worker's machine; null for other kinds of storage.",
      resolve: ({ location }) => (location.kind === 'DIRECTORY' ? location.path : null),
    }),
    s3: t.field({
      type: S3Bucket,
      nullable: true,
      description: 'The bucket that it is in; null for other kinds of storage.',
      resolve: ({ location }) => (location.kind === 'S3' ? location : null),
    }),
    capabilities: t.expose('capabilities', {
      type: StorageAccountCapabilities,
      nullable: true,
      description: 'What its storage can do; null until a restore or a validation has tried it.',
    }),
    publicNetworkAccess: t.expose('publicNetworkAccess', {
      type: PublicNetworkAccess,
      description: 'Which vaults may write into it.',
    }),
    allowTrustedServices: t.exposeBoolean('allowTrustedServices', {
      description: 'Whether the vaults listed may write where access is ENABLED_FROM_SELECTED_NETWORKS.',
    }),
    resourceInstances: t.field({
      type: [Vault],
      description:
        'The vaults that may write where access is ENABLED_FROM_SELECTED_NETWORKS; a vault that is deleted leaves the list.',
      resolve: async ({ id }, _args, context) => (await resourceInstancesOf(context, id, undefined)) ?? [],
    }),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When it was created.' }),
    containers: t.field({
      type: StorageContainerConnection,
      description: 'Its containers, newest first.',
      args: pageArgs(t),
      resolve: async ({ id }, args, context) => ({
        page: (await containersOf(context, id, pageRequest(StorageContainer, args))) ?? none,
        count: async () => (await containerCountOf(context, id, undefined)) ?? 0,
      }),
    }),
  }),
})

StorageContainer.implement({
  description: 'A container of a storage account: a folder in its place that restores as files write into.',
  fields: (t) => ({
    name: t.exposeString('name', { description: 'Its name, which no other container of the account has.' }),
    storageAccount: t.field({
      type: StorageAccount,
      description: 'The storage account that it is in.',
      resolve: ({ storageAccountId }) => storageAccountId,
    }),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When it was created.' }),
  }),
})

nodeQuery('storageAccount', StorageAccount, 'A storage account by its id; null when there is none.')
nodeQuery('storageContainer', StorageContainer, 'A container of a storage account by its id; null when there is none.')

const StorageAccountFilter = builder.inputType('StorageAccountFilter', {
  description: 'Which storage accounts: those that everything given holds for.',
  fields: (t) => ({
    nameContains: t.string({ description: 'With this text in their names, in any case of its letters.' }),
  }),
})

builder.queryField('storageAccounts', (t) =>
  t.field({
    type: StorageAccountConnection,
    description: 'The storage accounts, newest first.',
    args: {
      filter: t.arg({ type: StorageAccountFilter, description: 'Which ones; all when left out.' }),
      ...pageArgs(t),
    },
    resolve: async (_root, { filter: given, ...args }, { database }) => {
      const { nameContains } = given ?? {}
      const filter = nameContains == null ? {} : { nameContains: searchText('filter.nameContains', nameContains) }
      return {
        page: await pageStorageAccounts(database, { filter, page: pageRequest(StorageAccount, args) }),
        count: () => countStorageAccounts(database, filter),
      }
    },
  }),
)

const StorageAccountLocation = builder.inputType('StorageAccountLocationInput', {
  description: 'Where a storage account is; exactly one kind of place.',
  isOneOf: true,
  fields: (t) => ({
    directory: t.string({
      description:
        "An absolute path on the worker's machine; it is made when a restore or a validation first tries it.",
    }),
    s3: t.field({ type: S3BucketInput, description: 'A bucket of a store that speaks S3, or a folder in it.' }),
  }),
})

/** Exactly one kind is given; the schema sees to it. */
function locationOf({ directory, s3 }: typeof StorageAccountLocation.$inferInput) {
  if (!s3) return { kind: 'DIRECTORY' as const, path: directory ?? '' }
  const { prefix = null, endpoint = null, pathStyle = null, ...bucket } = s3
  return { kind: 'S3' as const, ...bucket, prefix, endpoint, pathStyle }
}

mutation('createStorageAccount', {
  description:
    'Adds a storage account that restores as files can write into. Its place is neither in a vault or another account nor around one, and is touched only when a restore or a validation first tries it.',
  input: (t) => ({
    name: t.string({ required: true, description: 'A name of 1 to 200 characters that no other account has.' }),
    location: t.field({ type: StorageAccountLocation, required: true, description: 'Where it is.' }),
    publicNetworkAccess: t.field({
      type: PublicNetworkAccess,
      required: true,
      defaultValue: 'ENABLED',
      description: 'Which vaults may write into it.',
    }),
    allowTrustedServices: t.boolean({
      required: true,
      defaultValue: true,
      description: 'Whether the vaults listed may write where access is ENABLED_FROM_SELECTED_NETWORKS.',
    }),
    resourceInstances: t.globalIDList({
      description:
        'The ids of the vaults that may write where access is ENABLED_FROM_SELECTED_NETWORKS; none when left out.',
    }),
  }),
  payload: { storageAccount: { type: StorageAccount, description: 'The new storage account.' } },
  refusals: [InvalidInput, NotFound, NameTaken, LocationTaken, LocationTakenByStorageAccount],
  resolve: async ({ name, location, resourceInstances, ...rules }, context) => ({
    storageAccount: await createStorageAccount(context.database, {
      name,
      location: locationOf(location),
      rules: { ...rules, resourceInstanceIds: (resourceInstances ?? []).map((vault) => idOf('Vault', vault)) },
      secrets: context.secrets,
      ...asked(context),
    }),
  }),
})

mutation('createStorageContainer', {
  description: 'Adds a container to a storage account: a folder of its name, which the first restore into it makes.',
  input: (t) => ({
    storageAccount: t.globalID({ required: true, description: 'The id of the storage account.' }),
    name: t.string({
      required: true,
      description:
        'A name of 3 to 63 lower-case letters, digits and single hyphens that no other container of the account has.',
    }),
  }),
  payload: { storageContainer: { type: StorageContainer, description: 'The new container.' } },
  refusals: [InvalidInput, NotFound, NameTaken],
  resolve: async ({ storageAccount, name }, context) => ({
    storageContainer: await createStorageContainer(context.database, {
      storageAccountId: idOf('StorageAccount', storageAccount),
      name,
      ...asked(context),
    }),
  }),
})
