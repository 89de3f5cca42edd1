import { jsonb, pgEnum, pgTable, text, timestamp, uuid } from 'drizzle-orm/pg-core'

export const storageKind = pgEnum('storage_kind', ['DIRECTORY'])

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
  createdAt: timestamp({ precision: 3, withTimezone: true }).notNull(),
})
