import { integer, pgEnum, pgTable, text, timestamp, uuid } from 'drizzle-orm/pg-core'

export const tlsMode = pgEnum('tls_mode', ['DISABLE', 'REQUIRE', 'VERIFY_CA', 'VERIFY_FULL'])

export const postgresServers = pgTable('postgres_servers', {
  id: uuid().primaryKey(),
  name: text().notNull().unique(),
  host: text().notNull(),
  port: integer().notNull(),
  /** Null, as the password is then: nothing is known of how to sign in, for the server comes from an imported vault. */
  username: text(),
  /** The password, sealed by the key file; written, never read back by the API. */
  sealedPassword: text(),
  passwordSetAt: timestamp({ precision: 3, withTimezone: true }),
  maintenanceDatabase: text().notNull(),
  tlsMode: tlsMode().notNull(),
  /** PEM certificates that VERIFY_CA and VERIFY_FULL trust. */
  caCertificate: text(),
  /** What the last successful inspection saw; null before the first. */
  versionNumber: integer(),
  inspectedAt: timestamp({ precision: 3, withTimezone: true }),
  createdAt: timestamp({ precision: 3, withTimezone: true }).notNull(),
})
