import type { NameOrder, PageOrder } from '../../../database/page.ts'
import { countInstances, type InstanceFilter, pageInstances } from '../../../instance/find.ts'
import type { GraphqlContext } from '../../context.ts'
import { builder } from '../../schema/builder.ts'
import { enumeration } from '../../schema/enumeration.ts'
import { searchText } from '../../schema/filter-checks.ts'
import { nodeQuery } from '../../schema/node.ts'
import { namedPageRequest, pageArgs, pageRequest } from '../../schema/paging.ts'
import { BackupInstance, BackupInstanceConnection, BackupPolicy, PostgresServer, Vault } from '../declared.ts'
import { HealthStatus, ProtectionState } from '../enums.ts'

nodeQuery('backupInstance', BackupInstance, 'A backup instance by its id; null when there is none.')

const BackupInstanceFilter = builder.inputType('BackupInstanceFilter', {
  description: 'Which backup instances: those that everything given holds for.',
  fields: (t) => ({
    state: t.field({ type: [ProtectionState], description: 'In one of these states.' }),
    vault: t.globalID({ for: Vault, description: 'Kept in the vault with this id.' }),
    server: t.globalID({ for: PostgresServer, description: 'Of the server with this id.' }),
    policy: t.globalID({ for: BackupPolicy, description: 'Under the policy with this id.' }),
    health: t.field({ type: [HealthStatus], description: 'Whose last backups went one of these ways.' }),
    isOverdue: t.boolean({
      description:
        'Whether the last proven recovery point is older than the schedule allows; false is also of those without one.',
    }),
    nameContains: t.string({
      description: 'With this text, of at most 200 characters, anywhere in the name, in upper or lower case.',
    }),
  }),
})

const BackupInstanceOrder = enumeration<PageOrder | NameOrder>(
  'BackupInstanceOrder',
  'In which order a list of backup instances is.',
  {
    NEWEST_FIRST: 'By the time at which they were created, the latest first.',
    OLDEST_FIRST: 'By the time at which they were created, the earliest first.',
    NAME_ASCENDING: 'By name, from A to Z.',
    NAME_DESCENDING: 'By name, from Z to A.',
  },
)

function filterOf(
  given: typeof BackupInstanceFilter.$inferInput | null | undefined,
  { now }: GraphqlContext,
): InstanceFilter {
  const { state, vault, server, policy, health, isOverdue, nameContains } = given ?? {}
  return {
    ...(state && { states: state }),
    ...(vault && { vaultId: vault.id }),
    ...(server && { serverId: server.id }),
    ...(policy && { policyId: policy.id }),
    ...(health && { health }),
    ...(isOverdue != null && { overdue: { at: now(), isOverdue } }),
    ...(nameContains != null && { nameContains: searchText('filter.nameContains', nameContains) }),
  }
}

builder.queryField('backupInstances', (t) =>
  t.field({
    type: BackupInstanceConnection,
    description: 'Backup instances, newest first unless another order is asked for.',
    args: {
      filter: t.arg({ type: BackupInstanceFilter, description: 'Which ones; all when left out.' }),
      orderBy: t.arg({
        type: BackupInstanceOrder,
        required: true,
        defaultValue: 'NEWEST_FIRST',
        description: 'In which order.',
      }),
      ...pageArgs(t),
    },
    resolve: async (_root, { filter: given, orderBy: order, ...args }, context) => {
      const filter = filterOf(given, context)
      const page = order.startsWith('NAME') ? namedPageRequest(BackupInstance, args) : pageRequest(BackupInstance, args)
      return {
        page: await pageInstances(context.database, { filter, page, order }),
        count: () => countInstances(context.database, filter),
      }
    },
  }),
)
