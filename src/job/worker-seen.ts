import { sql } from 'drizzle-orm'
import type { Database } from '../database/connect.ts'
import { workerSightings } from '../database/tables/worker-sighting.ts'

/** How far a moment may lie ahead that was true when it was written. */
const clockToleranceSeconds = 60

/** Says that a worker is there, at that moment of the service's clock. */
export async function recordWorkerSeen(database: Database, now: Date): Promise<void> {
  await database
    .insert(workerSightings)
    .values({ seenAt: now })
    .onConflictDoUpdate({ target: workerSightings.id, set: { seenAt: sql`excluded.seen_at` } })
}

/**
 * How many seconds ago a worker last said that it is there; null: none ever has, or it was dated by a clock that ran ahead and has been
 * set right since, so that nobody knows.
 */
export async function secondsSinceWorkerSeen(database: Database, now: Date): Promise<number | null> {
  const [row] = await database.select().from(workerSightings)
  if (!row) return null
  const seconds = (now.getTime() - row.seenAt.getTime()) / 1000
  return seconds < -clockToleranceSeconds ? null : Math.max(0, seconds)
}
