import { expect, test } from 'vitest'
import { type NetworkRules, networkRules, networkRuleViolations } from '../src/storage-account/network-rules.ts'

const vault = { id: 'the vault', name: 'main' }
const accesses = ['ENABLED', 'ENABLED_FROM_SELECTED_NETWORKS', 'DISABLED'] as const
const everyRules: NetworkRules[] = accesses.flatMap((publicNetworkAccess) =>
  [['another'], ['another', vault.id]].flatMap((resourceInstanceIds) =>
    [true, false].map((allowTrustedServices) => ({ publicNetworkAccess, resourceInstanceIds, allowTrustedServices })),
  ),
)
const violationsOf = (rules: NetworkRules, of = vault) => networkRuleViolations({ name: 'exports', ...rules }, of)

test.each([
  ['ENABLED', ['another'], false, []],
  ['ENABLED_FROM_SELECTED_NETWORKS', [vault.id], true, []],
  ['ENABLED_FROM_SELECTED_NETWORKS', ['another'], true, ['VAULT_NOT_IN_RESOURCE_INSTANCES']],
  ['ENABLED_FROM_SELECTED_NETWORKS', [vault.id], false, ['TRUSTED_SERVICES_NOT_ALLOWED']],
  ['ENABLED_FROM_SELECTED_NETWORKS', [], false, ['VAULT_NOT_IN_RESOURCE_INSTANCES', 'TRUSTED_SERVICES_NOT_ALLOWED']],
  ['DISABLED', [vault.id], true, ['PUBLIC_NETWORK_ACCESS_DISABLED']],
  ['DISABLED', [], false, networkRules],
] as const)('%s with resource instances %j and trusted services %s: %j', (access, listed, trusted, rules) => {
  const violations = violationsOf({
    publicNetworkAccess: access,
    resourceInstanceIds: listed,
    allowTrustedServices: trusted,
  })
  expect(violations.map(({ rule }) => rule)).toEqual(rules)
  for (const { message } of violations) expect(message).toContain('"exports"')
})

test('the cures of all violations together let that vault in, and no other that was kept out', () => {
  const stranger = { id: 'a stranger', name: 'stranger' }
  for (const rules of everyRules) {
    const cured = Object.assign({}, rules, ...violationsOf(rules).map(({ cure }) => cure))
    expect(violationsOf(cured)).toEqual([])
    if (violationsOf(rules, stranger).length > 0) expect(violationsOf(cured, stranger)).not.toEqual([])
    for (const id of rules.resourceInstanceIds) expect(cured.resourceInstanceIds).toContain(id)
  }
})
