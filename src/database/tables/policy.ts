import { boolean, pgTable, text, timestamp, uuid } from 'drizzle-orm/pg-core'

export const backupPolicies = pgTable('backup_policies', {
  id: uuid().primaryKey(),
  name: text().notNull().unique(),
  /** ISO 8601 duration that a recovery point with the default tag is kept for. */
  defaultRetention: text().notNull(),
  /** Made by Holdfast itself at first start; used when an instance names no policy. */
  isBuiltIn: boolean().notNull().default(false),
  createdAt: timestamp({ precision: 3, withTimezone: true }).notNull(),
})
