import { pgTable, text, timestamp } from 'drizzle-orm/pg-core'

/** Until when nothing is removed from any vault, whatever is due: the row that ends last holds. One row for each kind at most. */
export const removalRests = pgTable('removal_rests', {
  /** The kind. */
  id: text().$type<'RECOVERY' | 'CLOCK_JUMP'>().primaryKey(),
  begunAt: timestamp({ precision: 3, withTimezone: true }).notNull(),
  endsAt: timestamp({ precision: 3, withTimezone: true }).notNull(),
  /** In words for an operator. */
  reason: text().notNull(),
})
