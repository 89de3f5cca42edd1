import { Refusal } from '../refusal.ts'
import type { StorageAccount } from './storage-account.ts'

/** What can keep a vault from writing into a storage account. */
export const networkRules = [
  'PUBLIC_NETWORK_ACCESS_DISABLED',
  'VAULT_NOT_IN_RESOURCE_INSTANCES',
  'TRUSTED_SERVICES_NOT_ALLOWED',
] as const
export type NetworkRule = (typeof networkRules)[number]

/** What the rules say of an account, as `updateStorageAccountNetworking` takes them. */
export interface NetworkRules {
  publicNetworkAccess: StorageAccount['publicNetworkAccess']
  /** The ids of the vaults that are listed, in any order. */
  resourceInstanceIds: readonly string[]
  allowTrustedServices: boolean
}

/** A rule that forbids a vault to write, and how to cure it. */
export interface NetworkRuleViolation {
  rule: NetworkRule
  message: string
  /** What to pass to `updateStorageAccountNetworking` beside the account; what is not in it stays as it is. */
  cure: Partial<NetworkRules>
}

/**
 * Every rule of the account that forbids the vault to write into it; empty when it may. Passing the cures of all of them
 * in one call lets that vault in and no other.
 */
export function networkRuleViolations(
  account: Pick<StorageAccount, 'name'> & NetworkRules,
  vault: { id: string; name: string },
): NetworkRuleViolation[] {
  const { name, publicNetworkAccess, allowTrustedServices, resourceInstanceIds } = account
  if (publicNetworkAccess === 'ENABLED') return []
  const violations: NetworkRuleViolation[] = []
  if (publicNetworkAccess === 'DISABLED') {
    violations.push({
      rule: 'PUBLIC_NETWORK_ACCESS_DISABLED',
      message: `Storage account "${name}" takes writes from no vault: its publicNetworkAccess is DISABLED.`,
      cure: { publicNetworkAccess: 'ENABLED_FROM_SELECTED_NETWORKS' },
    })
  }
  if (!resourceInstanceIds.includes(vault.id)) {
    violations.push({
      rule: 'VAULT_NOT_IN_RESOURCE_INSTANCES',
      message: `Vault "${vault.name}" is not among the resourceInstances of storage account "${name}".`,
      cure: { resourceInstanceIds: [...resourceInstanceIds, vault.id] },
    })
  }
  if (!allowTrustedServices) {
    violations.push({
      rule: 'TRUSTED_SERVICES_NOT_ALLOWED',
      message: `Storage account "${name}" does not let in the vaults that it lists: its allowTrustedServices is off.`,
      cure: { allowTrustedServices: true },
    })
  }
  return violations
}

/** What cures a violation, as a sentence: the mutation and the values to pass. */
export function cureSentence({ rule }: NetworkRuleViolation, vault: { name: string }): string {
  switch (rule) {
    case 'PUBLIC_NETWORK_ACCESS_DISABLED':
      return 'Set publicNetworkAccess to ENABLED_FROM_SELECTED_NETWORKS with updateStorageAccountNetworking.'
    case 'VAULT_NOT_IN_RESOURCE_INSTANCES':
      return `Add vault "${vault.name}" to the resourceInstances with updateStorageAccountNetworking.`
    case 'TRUSTED_SERVICES_NOT_ALLOWED':
      return 'Set allowTrustedServices to true with updateStorageAccountNetworking.'
  }
}

/** The network rules of a storage account forbid the vault to write into it. */
export class ForbiddenByNetworkRules extends Refusal {
  readonly storageAccountId: string
  readonly vaultId: string
  readonly violations: readonly NetworkRuleViolation[]

  constructor(
    account: { id: string },
    vault: { id: string; name: string },
    violations: readonly NetworkRuleViolation[],
  ) {
    super(
      violations.map(({ message }) => message).join(' '),
      violations.map((violation) => cureSentence(violation, vault)),
    )
    this.storageAccountId = account.id
    this.vaultId = vault.id
    this.violations = violations
  }
}
