import { integer, pgTable, primaryKey, text, uuid } from 'drizzle-orm/pg-core'
import { backupInstances } from './backup-instance.ts'

/** What an operator knows to be true of the data: asked of every copy that is restored to prove a point of the instance. */
export const proofAssertions = pgTable(
  'proof_assertions',
  {
    instanceId: uuid()
      .notNull()
      .references(() => backupInstances.id, { onDelete: 'cascade' }),
    position: integer().notNull(),
    name: text().notNull(),
    database: text().notNull(),
    /** One query that answers one row with one boolean. */
    query: text().notNull(),
  },
  (table) => [primaryKey({ columns: [table.instanceId, table.position] })],
)
