import { bigint, index, integer, jsonb, pgEnum, pgTable, primaryKey, text, timestamp, uuid } from 'drizzle-orm/pg-core'

export const storageKind = pgEnum('storage_kind', ['DIRECTORY'])

/** Whether ways to remove points before their time are shut: UNLOCKED can be taken back, LOCKED never. */
export const immutability = pgEnum('immutability', ['DISABLED', 'UNLOCKED', 'LOCKED'])
export const orphanKind = pgEnum('orphan_kind', ['BYTES_WITHOUT_ROW', 'ROW_WITHOUT_BYTES'])

/** Where a vault's bytes lie. */
export type VaultLocation = { kind: 'DIRECTORY'; path: string }

export const vaults = pgTable('vaults', {
  id: uuid().primaryKey(),
  name: text().notNull().unique(),
  kind: storageKind().notNull(),
  location: jsonb().$type<VaultLocation>().notNull(),
  /** Equal for two spellings of one place, so that no place is two vaults. */
  locationKey: text().notNull().unique(),
  /** The age recipient (public key) that everything written is sealed for. */
  recipient: text().notNull(),
  /** The age identity (secret key), sealed by the key file. */
  sealedIdentity: text().notNull(),
  recoveryKeyExportedAt: timestamp({ precision: 3, withTimezone: true }),
  /** How long a deleted backup instance can be had back; 0: it is purged at once. */
  softDeleteDays: integer().notNull().default(14),
  immutability: immutability().notNull().default('DISABLED'),
  /** An expiry run that would remove a greater share of an instance's points stops and asks. */
  expiryShareLimitPercent: integer().notNull().default(50),
  /** What its storage last said of its space; null where it cannot tell. */
  freeBytes: bigint({ mode: 'number' }),
  spaceCheckedAt: timestamp({ precision: 3, withTimezone: true }),
  createdAt: timestamp({ precision: 3, withTimezone: true }).notNull(),
})

/** Where a vault and its catalogue disagree, as last seen: counted and shown, never removed silently. */
export const vaultOrphans = pgTable(
  'vault_orphans',
  {
    vaultId: uuid()
      .notNull()
      .references(() => vaults.id, { onDelete: 'cascade' }),
    /** The folder in the vault. */
    prefix: text().notNull(),
    kind: orphanKind().notNull(),
    /** No foreign key: the instance may be gone. */
    instanceId: uuid().notNull(),
    recoveryPointId: uuid(),
    objectCount: integer().notNull(),
    sizeBytes: bigint({ mode: 'number' }).notNull(),
    firstSeenAt: timestamp({ precision: 3, withTimezone: true }).notNull(),
    lastSeenAt: timestamp({ precision: 3, withTimezone: true }).notNull(),
  },
  (table) => [
    primaryKey({ columns: [table.vaultId, table.prefix] }),
    index('vault_orphans_by_instance').on(table.instanceId),
  ],
)
