import { sql } from 'drizzle-orm'
import { boolean, jsonb, pgEnum, pgTable, primaryKey, text, timestamp, uniqueIndex, uuid } from 'drizzle-orm/pg-core'
import { jobs } from './job.ts'
import { type VaultLocation, vaults } from './vault.ts'

/** Whether a key is to become the vault's own, or was it. */
export const vaultKeyState = pgEnum('vault_key_state', ['NEXT', 'FORMER'])

/** Keys of a vault besides its present one, which the vault itself holds. */
export const vaultKeys = pgTable(
  'vault_keys',
  {
    vaultId: uuid()
      .notNull()
      .references(() => vaults.id, { onDelete: 'cascade' }),
    /** The age recipient (public key). */
    recipient: text().notNull(),
    /** The age identity (secret key), sealed by the key file. */
    sealedIdentity: text().notNull(),
    state: vaultKeyState().notNull(),
    createdAt: timestamp({ precision: 3, withTimezone: true }).notNull(),
    /** Since when nothing new is sealed for it; null for a NEXT one. */
    retiredAt: timestamp({ precision: 3, withTimezone: true }),
  },
  (table) => [
    primaryKey({ columns: [table.vaultId, table.recipient] }),
    uniqueIndex('one_next_key_per_vault').on(table.vaultId).where(sql`state = 'NEXT'`),
  ],
)

/** What a job that imports a vault was given: it may hold secrets, so that they are kept out of the job itself. */
export const vaultImports = pgTable('vault_imports', {
  jobId: uuid()
    .primaryKey()
    .references(() => jobs.id, { onDelete: 'cascade' }),
  /** What the vault is to be called. */
  name: text().notNull(),
  location: jsonb().$type<VaultLocation>().notNull(),
  recipient: text().notNull(),
  /** The recovery key, sealed by the key file. */
  sealedIdentity: text().notNull(),
  /** Only looked at: nothing is recorded. */
  dryRun: boolean().notNull(),
})

/** A known text, sealed by the key file of the first start: a key file that does not open it is another one. One row. */
export const keyFileCanary = pgTable('key_file_canary', {
  id: text().primaryKey(),
  sealed: text().notNull(),
  createdAt: timestamp({ precision: 3, withTimezone: true }).notNull(),
})
