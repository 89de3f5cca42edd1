import { sql } from 'drizzle-orm'
import type { Database } from '../database/connect.ts'
import { workerSightings } from '../database/tables/worker-sighting.ts'

/** Says that a worker is there, at that moment of the service's clock. */
export async function recordWorkerSeen(database: Database, now: Date): Promise<void> {
  await database
    .insert(workerSightings)
    .values({ seenAt: now })
    .onConflictDoUpdate({ target: workerSightings.id, set: { seenAt: sql`excluded.seen_at` } })
}

/** When a worker last said that it is there; null: none ever has. */
export async function findWorkerSeenAt(database: Database): Promise<Date | null> {
  const [row] = await database.select().from(workerSightings)
  return row?.seenAt ?? null
}
