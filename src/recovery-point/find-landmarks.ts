import { and, asc, desc, gt, sql } from 'drizzle-orm'
import type { Database } from '../database/connect.ts'
import { recoveryPoints } from '../database/tables/recovery-point.ts'
import { wanted, wantedId } from '../database/wanted.ts'
import { isOriginal } from './find.ts'
import type { RecoveryPoint } from './recovery-point.ts'

/** A point of an instance that says how its protection stands; second copies say nothing of that. */
export type Landmark = 'OLDEST' | 'LATEST_PROVEN'

/** That point of each of many instances, by instance id; instances without one are left out. */
export async function findLandmarks(
  database: Database,
  instanceIds: readonly string[],
  landmark: Landmark,
): Promise<Map<string, RecoveryPoint>> {
  if (instanceIds.length === 0) return new Map()
  const direction = landmark === 'OLDEST' ? asc : desc
  const isProven = and(sql`${recoveryPoints.state} = 'AVAILABLE'`, gt(recoveryPoints.proof, 'WRITTEN'))
  const found = database
    .select()
    .from(recoveryPoints)
    .where(
      and(sql`${recoveryPoints.instanceId} = ${wantedId}`, isOriginal, landmark === 'OLDEST' ? undefined : isProven),
    )
    .orderBy(direction(recoveryPoints.createdAt), direction(recoveryPoints.id))
    .limit(1)
    .as('found')
  const rows = await database.select().from(wanted(instanceIds)).innerJoinLateral(found, sql`true`)
  return new Map(rows.map((row) => [row.found.instanceId, row.found]))
}

/** The sizes of an instance at one of its points. */
export interface GrowthSample {
  at: Date
  sourceBytes: number
  storedBytes: number
}

/** What an instance's originals made from a moment on say of its growth. */
export interface GrowthSamples {
  /** The last point of each day counted from that moment, oldest first. */
  samples: GrowthSample[]
  /** What all the points made since take in the vault. */
  storedBytes: number
}

/** How each of many instances grew from a moment on, by instance id; those without points since are left out. */
export async function findGrowth(
  database: Database,
  instanceIds: readonly string[],
  since: Date,
): Promise<Map<string, GrowthSamples>> {
  if (instanceIds.length === 0) return new Map()
  const start = sql`${since.toISOString()}::timestamptz`
  const rows = await database.execute<{
    instance: string
    at: string
    sourceBytes: string
    storedBytes: string
    total: string
  }>(sql`
    select ${wantedId} as instance, sample.*
    from ${wanted(instanceIds)}
    cross join lateral (
      select distinct on (day) floor(extract(epoch from created_at) * 1000) as at, source_bytes as "sourceBytes",
        stored_bytes as "storedBytes", total
      from (
        select *, floor(extract(epoch from created_at - ${start}) / 86400) as day, sum(stored_bytes) over () as total
        from recovery_points
        where instance_id = ${wantedId} and created_at >= ${start} and copy_of_id is null
      ) as point
      order by day, created_at desc, id desc
    ) as sample`)
  const found = Map.groupBy(rows, ({ instance }) => instance)
  return new Map(
    [...found].map(([instance, samples]) => [
      instance,
      {
        samples: samples
          .map((sample) => ({
            at: new Date(Number(sample.at)),
            sourceBytes: Number(sample.sourceBytes),
            storedBytes: Number(sample.storedBytes),
          }))
          .toSorted((one, other) => one.at.getTime() - other.at.getTime()),
        storedBytes: Number(samples[0]?.total ?? 0),
      },
    ]),
  )
}
