import { eq, sql } from 'drizzle-orm'
import type { Database } from '../../database/connect.ts'
import { recoveryPoints } from '../../database/tables/recovery-point.ts'

/** Points as a number, with what they took in their vaults. */
export interface PointSum {
  count: number
  storedBytes: number
}

/** How many points of an instance are recorded, and how many bytes those take. */
export async function sumPoints(database: Database, instanceId: string): Promise<PointSum> {
  const [sum] = await database
    .select({
      count: sql`count(*)`.mapWith(Number),
      storedBytes: sql`coalesce(sum(${recoveryPoints.storedBytes}), 0)`.mapWith(Number),
    })
    .from(recoveryPoints)
    .where(eq(recoveryPoints.instanceId, instanceId))
  return sum ?? { count: 0, storedBytes: 0 }
}

/**
 * Forgets the next points of an instance that is being purged, whose bytes are all confirmed gone; resolves with how many
 * those were, 0 when none is left. Part by part: the lists of what they held go with them, of many tables each.
 */
export async function forgetPoints(
  database: Database,
  { instanceId, atOnce }: { instanceId: string; atOnce: number },
): Promise<number> {
  const gone = await database.execute(sql`
    delete from recovery_points where id in (
      select id from recovery_points where instance_id = ${instanceId} and sweep_started_at is not null
      order by id limit ${atOnce})
    returning id`)
  return gone.length
}
