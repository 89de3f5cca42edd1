import { ConfirmationMismatch, InvalidInput, NotFound } from '../../../refusal.ts'
import { deleteStorageAccount } from '../../../storage-account/delete.ts'
import { deleteStorageContainer } from '../../../storage-account/delete-container.ts'
import { StorageBeingRestoredInto } from '../../../storage-account/storage-account.ts'
import { updateStorageAccountCredentials } from '../../../storage-account/update-credentials.ts'
import {
  type NetworkRuleChange as Change,
  updateStorageAccountNetworking,
} from '../../../storage-account/update-networking.ts'
import { builder } from '../../schema/builder.ts'
import { encodeNodeId } from '../../schema/ids.ts'
import { mutation } from '../../schema/mutation.ts'
import { idOf, StorageAccount, Vault } from '../declared.ts'
import { asked } from '../fields.ts'
import { PublicNetworkAccess } from './network-rules.ts'

const NetworkRuleChange = builder.objectRef<Change>('NetworkRuleChange').implement({
  description: 'One network rule of a storage account that was changed, or in a dry run would be.',
  fields: (t) => ({
    field: t.exposeString('field', { description: 'The field of the input.' }),
    before: t.exposeString('before', { description: 'What it was, as text; vaults by their names.' }),
    after: t.exposeString('after', { description: 'What it is from now on, as text; vaults by their names.' }),
  }),
})

mutation('updateStorageAccountNetworking', {
  description:
    'Changes which vaults may write into a storage account; what is left out stays as it is. Restores meet the new rules when they are asked for, when they start, and at every attempt.',
  input: (t) => ({
    storageAccount: t.globalID({ required: true, description: 'The id of the storage account.' }),
    publicNetworkAccess: t.field({ type: PublicNetworkAccess, description: 'Which vaults may write into it.' }),
    resourceInstances: t.globalIDList({
      description:
        'The ids of all vaults that may write where access is ENABLED_FROM_SELECTED_NETWORKS, in the place of those listed so far; null lists none.',
    }),
    allowTrustedServices: t.boolean({
      description: 'Whether the vaults listed may write where access is ENABLED_FROM_SELECTED_NETWORKS.',
    }),
    reason: t.string({ description: 'Why, for the audit log, in at most 2,000 characters.' }),
    dryRun: t.boolean({
      required: true,
      defaultValue: false,
      description: 'Whether only to answer what would be changed, and to change nothing.',
    }),
  }),
  payload: {
    storageAccount: {
      type: StorageAccount,
      description:
        'The account with its new rules, in a dry run with those that it would have, but for resourceInstances.',
    },
    resourceInstances: {
      type: [Vault],
      description: 'The vaults that its rules list from now on, or in a dry run would list.',
    },
    changes: { type: [NetworkRuleChange], description: 'What was changed, or would be; empty when nothing differs.' },
  },
  refusals: [InvalidInput, NotFound],
  resolve: async (
    { storageAccount, publicNetworkAccess, allowTrustedServices, resourceInstances, ...input },
    context,
  ) => {
    refuseNulls({ publicNetworkAccess, allowTrustedServices })
    const updated = await updateStorageAccountNetworking(context.database, {
      storageAccountId: idOf('StorageAccount', storageAccount),
      changes: {
        ...(publicNetworkAccess && { publicNetworkAccess }),
        ...(allowTrustedServices != null && { allowTrustedServices }),
        ...(resourceInstances !== undefined && {
          resourceInstanceIds: (resourceInstances ?? []).map((vault) => idOf('Vault', vault)),
        }),
      },
      reason: input.reason ?? null,
      dryRun: input.dryRun,
      ...asked(context),
    })
    return { storageAccount: updated.account, resourceInstances: updated.resourceInstanceIds, changes: updated.changes }
  },
})

/** Each of these rules always has a value: null would clear what cannot be cleared. */
function refuseNulls(given: Record<string, unknown>): void {
  for (const [field, value] of Object.entries(given)) {
    if (value !== null) continue
    throw new InvalidInput(field, `A storage account always has a value for ${field}: it cannot be null.`, [
      'Leave it out to keep the present one.',
    ])
  }
}

mutation('updateStorageAccountCredentials', {
  description:
    'Replaces the access key of a storage account in a bucket; attempts of restores that start from now on use it.',
  input: (t) => ({
    storageAccount: t.globalID({ required: true, description: 'The id of the storage account.' }),
    accessKeyId: t.string({ required: true, description: 'The id of the new access key.' }),
    secretAccessKey: t.string({ required: true, description: 'Its secret; kept sealed and never shown.' }),
  }),
  payload: { storageAccount: { type: StorageAccount, description: 'The account with its new access key.' } },
  refusals: [InvalidInput, NotFound],
  resolve: async ({ storageAccount, accessKeyId, secretAccessKey }, context) => ({
    storageAccount: await updateStorageAccountCredentials(context.database, {
      storageAccountId: idOf('StorageAccount', storageAccount),
      accessKeyId,
      secretAccessKey,
      secrets: context.secrets,
      ...asked(context),
    }),
  }),
})

mutation('deleteStorageAccount', {
  description:
    'Forgets a storage account with its containers and its access key. The files in it are not touched: they stay where they are. Refused while a restore into it has not ended.',
  input: (t) => ({
    storageAccount: t.globalID({ required: true, description: 'The id of the storage account.' }),
    confirmName: t.string({ required: true, description: 'The name of the storage account, typed exactly.' }),
    dryRun: t.boolean({
      required: true,
      defaultValue: false,
      description: 'Whether only to answer whether it could be deleted, and to change nothing.',
    }),
  }),
  payload: {
    deletedStorageAccountId: { type: 'ID', description: 'The id that the account had, or in a dry run has.' },
    name: { type: 'String', description: 'The name that the account had, or in a dry run has.' },
  },
  refusals: [NotFound, ConfirmationMismatch, StorageBeingRestoredInto],
  resolve: async ({ storageAccount, confirmName, dryRun }, context) => {
    const storageAccountId = idOf('StorageAccount', storageAccount)
    const deletion = { storageAccountId, confirmName, dryRun, ...asked(context) }
    const { id, name } = await deleteStorageAccount(context.database, deletion)
    return { deletedStorageAccountId: encodeNodeId('StorageAccount', id), name }
  },
})

mutation('deleteStorageContainer', {
  description:
    'Forgets a container of a storage account. The files in it are not touched: they stay where they are. Refused while a restore into it has not ended.',
  input: (t) => ({
    storageContainer: t.globalID({ required: true, description: 'The id of the container.' }),
    confirmName: t.string({ required: true, description: 'The name of the container, typed exactly.' }),
    dryRun: t.boolean({
      required: true,
      defaultValue: false,
      description: 'Whether only to answer whether it could be deleted, and to change nothing.',
    }),
  }),
  payload: {
    deletedStorageContainerId: { type: 'ID', description: 'The id that the container had, or in a dry run has.' },
    name: { type: 'String', description: 'The name that the container had, or in a dry run has.' },
  },
  refusals: [NotFound, ConfirmationMismatch, StorageBeingRestoredInto],
  resolve: async ({ storageContainer, confirmName, dryRun }, context) => {
    const containerId = idOf('StorageContainer', storageContainer)
    const deletion = { containerId, confirmName, dryRun, ...asked(context) }
    const { id, name } = await deleteStorageContainer(context.database, deletion)
    return { deletedStorageContainerId: encodeNodeId('StorageContainer', id), name }
  },
})
