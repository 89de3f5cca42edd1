import { integer, pgTable, text } from 'drizzle-orm/pg-core'

/** At most one row: the life that the feeds' cursors are of. None before the first recovery or move to another server. */
export const feedEpochs = pgTable('feed_epochs', {
  id: integer().primaryKey().default(1),
  epoch: text().notNull(),
})
