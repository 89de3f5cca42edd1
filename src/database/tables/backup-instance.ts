import { index, pgEnum, pgTable, text, timestamp, unique, uuid } from 'drizzle-orm/pg-core'
import { backupPolicies } from './policy.ts'
import { postgresServers } from './server.ts'
import { vaults } from './vault.ts'

export const protectionState = pgEnum('protection_state', [
  'CONFIGURING_PROTECTION',
  'CONFIGURING_PROTECTION_FAILED',
  'PROTECTION_CONFIGURED',
  'PROTECTION_STOPPED',
  'BACKUP_SCHEDULES_SUSPENDED',
  'SOFT_DELETED',
])

export const backupInstances = pgTable(
  'backup_instances',
  {
    id: uuid().primaryKey(),
    name: text().notNull().unique(),
    serverId: uuid()
      .notNull()
      .references(() => postgresServers.id),
    vaultId: uuid()
      .notNull()
      .references(() => vaults.id),
    policyId: uuid()
      .notNull()
      .references(() => backupPolicies.id),
    state: protectionState().notNull(),
    stateSince: timestamp({ precision: 3, withTimezone: true }).notNull(),
    createdAt: timestamp({ precision: 3, withTimezone: true }).notNull(),
  },
  (table) => [
    unique('one_instance_per_server_and_vault').on(table.serverId, table.vaultId),
    index('backup_instances_by_creation').on(table.createdAt, table.id),
    index('backup_instances_by_vault').on(table.vaultId),
    index('backup_instances_by_policy').on(table.policyId),
  ],
)
