import {
  ForbiddenByNetworkRules,
  type NetworkRules,
  type NetworkRule as Rule,
  type NetworkRuleViolation as Violation,
} from '../../../storage-account/network-rules.ts'
import { builder } from '../../schema/builder.ts'
import { enumeration } from '../../schema/enumeration.ts'
import { refusalType } from '../../schema/refusals.ts'
import { StorageAccount, Vault } from '../declared.ts'

export const PublicNetworkAccess = enumeration<NetworkRules['publicNetworkAccess']>(
  'PublicNetworkAccess',
  'Which vaults may write into a storage account.',
  {
    ENABLED: 'Every vault may.',
    ENABLED_FROM_SELECTED_NETWORKS:
      'Only vaults that are listed in resourceInstances may, and only while allowTrustedServices is on.',
    DISABLED: 'No vault may.',
  },
)

const NetworkRule = enumeration<Rule>('NetworkRule', 'What keeps a vault from writing into a storage account.', {
  PUBLIC_NETWORK_ACCESS_DISABLED: 'The publicNetworkAccess of the account is DISABLED.',
  VAULT_NOT_IN_RESOURCE_INSTANCES: 'The vault is not listed in the resourceInstances of the account.',
  TRUSTED_SERVICES_NOT_ALLOWED: 'The allowTrustedServices of the account is off.',
})

const NetworkRuleCure = builder.objectRef<Violation['cure']>('NetworkRuleCure').implement({
  description:
    'What to pass to updateStorageAccountNetworking, beside the account, so that a rule no longer forbids the vault to write; what is null here is left out there.',
  fields: (t) => ({
    publicNetworkAccess: t.field({
      type: PublicNetworkAccess,
      nullable: true,
      description: 'The publicNetworkAccess to pass; null when it can stay.',
      resolve: ({ publicNetworkAccess }) => publicNetworkAccess,
    }),
    resourceInstances: t.field({
      type: [Vault],
      nullable: true,
      description:
        'The vaults to pass as resourceInstances, those that are listed already among them; null when they can stay.',
      resolve: ({ resourceInstanceIds }) => resourceInstanceIds && [...resourceInstanceIds],
    }),
    allowTrustedServices: t.boolean({
      nullable: true,
      description: 'The allowTrustedServices to pass; null when it can stay.',
      resolve: ({ allowTrustedServices }) => allowTrustedServices,
    }),
  }),
})

/** A rule that forbids a vault to write into an account, with its cure. */
export const NetworkRuleViolation = builder.objectRef<Violation>('NetworkRuleViolation').implement({
  description: 'A rule of a storage account that forbids a vault to write into it.',
  fields: (t) => ({
    rule: t.expose('rule', { type: NetworkRule, description: 'The rule.' }),
    message: t.exposeString('message', { description: 'What it forbids, with the names concerned.' }),
    cure: t.expose('cure', {
      type: NetworkRuleCure,
      description: 'What would cure it; the cures of all rules can be passed in one call.',
    }),
  }),
})

refusalType(
  ForbiddenByNetworkRules,
  'The network rules of the storage account do not let the vault write into it.',
  (t) => ({
    storageAccount: t.field({
      type: StorageAccount,
      description: 'The account that does not let the vault write.',
      resolve: ({ storageAccountId }) => storageAccountId,
    }),
    vault: t.field({ type: Vault, description: 'The vault that may not write.', resolve: ({ vaultId }) => vaultId }),
    violations: t.field({
      type: [NetworkRuleViolation],
      description: 'Every rule that forbids it, each with what would cure it.',
      resolve: ({ violations }) => [...violations],
    }),
  }),
)
