import { pgTable, text, timestamp } from 'drizzle-orm/pg-core'

/** Until when nothing is removed from any vault, whatever is due. One row at most. */
export const removalRests = pgTable('removal_rests', {
  id: text().primaryKey(),
  begunAt: timestamp({ precision: 3, withTimezone: true }).notNull(),
  endsAt: timestamp({ precision: 3, withTimezone: true }).notNull(),
  /** In words for an operator. */
  reason: text().notNull(),
})
