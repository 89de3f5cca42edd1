import { integer, pgTable, timestamp } from 'drizzle-orm/pg-core'

/** At most one row: when any worker last said that it is there. */
export const workerSightings = pgTable('worker_sightings', {
  id: integer().primaryKey().default(1),
  seenAt: timestamp({ precision: 3, withTimezone: true }).notNull(),
})
