import { boolean, index, jsonb, pgEnum, pgTable, primaryKey, text, timestamp, unique, uuid } from 'drizzle-orm/pg-core'
import { storageKind, type VaultCapabilities, type VaultLocation, vaults } from './vault.ts'

/** Which vaults may write into a storage account. */
export const publicNetworkAccess = pgEnum('public_network_access', [
  'ENABLED',
  'ENABLED_FROM_SELECTED_NETWORKS',
  'DISABLED',
])

/** Targets of restores as files: a directory or bucket, with rules that say which vaults may write to it. */
export const storageAccounts = pgTable(
  'storage_accounts',
  {
    id: uuid().primaryKey(),
    name: text().notNull().unique(),
    kind: storageKind().notNull(),
    location: jsonb().$type<VaultLocation>().notNull(),
    /** Equal for two spellings of one place, so that no place is two accounts. */
    locationKey: text().notNull().unique(),
    publicNetworkAccess: publicNetworkAccess().notNull(),
    /** Whether the vaults listed may write where access is ENABLED_FROM_SELECTED_NETWORKS. */
    allowTrustedServices: boolean().notNull(),
    /** As its storage last showed; null until something has been written to it. */
    capabilities: jsonb().$type<VaultCapabilities>(),
    createdAt: timestamp({ precision: 3, withTimezone: true }).notNull(),
  },
  (table) => [index('storage_accounts_by_creation').on(table.createdAt, table.id)],
)

/** The vaults that may write where access is ENABLED_FROM_SELECTED_NETWORKS. */
export const storageAccountResourceInstances = pgTable(
  'storage_account_resource_instances',
  {
    storageAccountId: uuid()
      .notNull()
      .references(() => storageAccounts.id, { onDelete: 'cascade' }),
    vaultId: uuid()
      .notNull()
      .references(() => vaults.id, { onDelete: 'cascade' }),
  },
  (table) => [primaryKey({ columns: [table.storageAccountId, table.vaultId] })],
)

/** Folders of a storage account that restores write into. */
export const storageContainers = pgTable(
  'storage_containers',
  {
    id: uuid().primaryKey(),
    storageAccountId: uuid()
      .notNull()
      .references(() => storageAccounts.id, { onDelete: 'cascade' }),
    name: text().notNull(),
    createdAt: timestamp({ precision: 3, withTimezone: true }).notNull(),
  },
  (table) => [
    unique('one_container_per_account_and_name').on(table.storageAccountId, table.name),
    index('storage_containers_by_creation').on(table.createdAt, table.id),
  ],
)
