import { sql } from 'drizzle-orm'
import type { Database } from '../../database/connect.ts'
import { isAnomalous } from '../../database/tables/recovery-point.ts'
import { wanted, wantedId } from '../../database/wanted.ts'

/** The points of an instance that hold much less than those before them, and wait to be acknowledged. */
export interface WaitingAnomaly {
  pointCount: number
  /** The newest of them, newest first. */
  pointIds: string[]
}

const mostNamed = 10

/** That of each of many instances, by instance id; those without such points are left out. */
export async function findWaitingAnomalies(
  database: Database,
  instanceIds: readonly string[],
): Promise<Map<string, WaitingAnomaly>> {
  if (instanceIds.length === 0) return new Map()
  const rows = await database.execute<{ instance: string; point: string; count: string }>(sql`
    select ${wantedId} as instance, waiting.id as point, waiting.count
    from ${wanted(instanceIds)}
    cross join lateral (
      select id, created_at, count(*) over () as count from recovery_points
      where instance_id = ${wantedId} and ${isAnomalous}
      order by created_at desc, id desc limit ${mostNamed}
    ) as waiting
    order by waiting.created_at desc, waiting.id desc`)
  const found = Map.groupBy(rows, ({ instance }) => instance)
  return new Map(
    [...found].map(([instance, points]) => [
      instance,
      { pointCount: Number(points[0]?.count ?? 0), pointIds: points.map(({ point }) => point) },
    ]),
  )
}
