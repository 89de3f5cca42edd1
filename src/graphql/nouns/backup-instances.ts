import { countInstances, type InstanceFilter, pageInstances } from '../../instance/find.ts'
import { builder } from '../schema/builder.ts'
import { nodeQuery } from '../schema/node.ts'
import { pageArgs, pageRequest } from '../schema/paging.ts'
import { BackupInstance, BackupInstanceConnection, BackupPolicy, PostgresServer, Vault } from './declared.ts'
import { ProtectionState } from './enums.ts'

nodeQuery('backupInstance', BackupInstance, 'A backup instance by its id; null when there is none.')

const BackupInstanceFilter = builder.inputType('BackupInstanceFilter', {
  description: 'Which backup instances: those that everything given holds for.',
  fields: (t) => ({
    state: t.field({ type: [ProtectionState], description: 'In one of these states.' }),
    vault: t.globalID({ for: Vault, description: 'Kept in the vault with this id.' }),
    server: t.globalID({ for: PostgresServer, description: 'Of the server with this id.' }),
    policy: t.globalID({ for: BackupPolicy, description: 'Under the policy with this id.' }),
    nameContains: t.string({ description: 'With this text anywhere in the name, in upper or lower case.' }),
  }),
})

function filterOf(given: typeof BackupInstanceFilter.$inferInput | null | undefined): InstanceFilter {
  const { state, vault, server, policy, nameContains } = given ?? {}
  return {
    ...(state && { states: state }),
    ...(vault && { vaultId: vault.id }),
    ...(server && { serverId: server.id }),
    ...(policy && { policyId: policy.id }),
    ...(nameContains != null && { nameContains: nameContains.replaceAll('\0', '') }),
  }
}

builder.queryField('backupInstances', (t) =>
  t.field({
    type: BackupInstanceConnection,
    description: 'Backup instances, newest first.',
    args: {
      filter: t.arg({ type: BackupInstanceFilter, description: 'Which ones; all when left out.' }),
      ...pageArgs(t),
    },
    resolve: async (_root, { filter, ...args }, { database }) => ({
      page: await pageInstances(database, { filter: filterOf(filter), page: pageRequest(args) }),
      count: () => countInstances(database, filterOf(filter)),
    }),
  }),
)
