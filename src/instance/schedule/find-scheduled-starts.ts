import { and, asc, count, desc, gt, inArray, lt, sql } from 'drizzle-orm'
import type { Database } from '../../database/connect.ts'
import { type Page, type PageRequest, pageOf } from '../../database/page.ts'
import { scheduledStarts } from '../../database/tables/backup-instance.ts'
import { wanted, wantedId } from '../../database/wanted.ts'

/** What became of one start that a schedule asked for. */
export type ScheduledStart = typeof scheduledStarts.$inferSelect

/** The same page of the scheduled starts of each of many instances, newest first, by instance id. */
export async function pageScheduledStartsOf(
  database: Database,
  { instanceIds, page }: { instanceIds: readonly string[]; page: PageRequest },
): Promise<Map<string, Page<ScheduledStart>>> {
  if (instanceIds.length === 0) return new Map()
  const { first, after, last, before } = page
  const direction = last === undefined ? desc : asc
  const part = database
    .select()
    .from(scheduledStarts)
    .where(
      and(
        sql`${scheduledStarts.instanceId} = ${wantedId}`,
        // An instance has one start a moment at most, so that the moment alone is a place.
        after && lt(scheduledStarts.nominalAt, after.at),
        before && gt(scheduledStarts.nominalAt, before.at),
      ),
    )
    .orderBy(direction(scheduledStarts.nominalAt))
    .limit((last ?? first ?? 0) + 1)
    .as('part')
  const rows = await database
    .select()
    .from(wanted(instanceIds))
    .innerJoinLateral(part, sql`true`)
    .orderBy(direction(part.nominalAt))
  const found = Map.groupBy(
    rows.map((row) => row.part),
    (start) => start.instanceId,
  )
  return new Map(instanceIds.map((id) => [id, pageOf(found.get(id) ?? [], page)]))
}

/** How many scheduled starts were decided on for each of many instances, by instance id; those without any are left out. */
export async function countScheduledStartsOf(
  database: Database,
  instanceIds: readonly string[],
): Promise<Map<string, number>> {
  if (instanceIds.length === 0) return new Map()
  const rows = await database
    .select({ id: scheduledStarts.instanceId, count: count() })
    .from(scheduledStarts)
    .where(inArray(scheduledStarts.instanceId, [...instanceIds]))
    .groupBy(scheduledStarts.instanceId)
  return new Map(rows.map((row) => [row.id, row.count]))
}
