import { and, count, gte, inArray, type SQL, sql } from 'drizzle-orm'
import type { Database } from '../database/connect.ts'
import { keyset, type Page, type PageRequest, pageOf } from '../database/page.ts'
import { jobs } from '../database/tables/job.ts'
import { wanted, wantedId } from '../database/wanted.ts'
import type { JobRow } from '../job/states.ts'
import { parseDuration, subtractDuration } from '../retention/duration.ts'

/** The jobs of instances that were created from a moment on; null: all of them. */
export interface RecentJobs {
  instanceIds: readonly string[]
  since: Date | null
}

/** The same page of the recent jobs of each of many instances, newest first, by instance id. */
export async function pageJobsOfInstances(
  database: Database,
  { page, ...recent }: RecentJobs & { page: PageRequest },
): Promise<Map<string, Page<JobRow>>> {
  if (recent.instanceIds.length === 0) return new Map()
  const { where, orderBy, limit } = keyset({ at: jobs.createdAt, id: jobs.id }, page)
  const part = database
    .select()
    .from(jobs)
    .where(and(sql`${jobs.instanceId} = ${wantedId}`, isRecent(recent.since), where))
    .orderBy(...orderBy)
    .limit(limit)
    .as('part')
  const rows = await database
    .select()
    .from(wanted(recent.instanceIds))
    .innerJoinLateral(part, sql`true`)
    .orderBy(...keyset({ at: part.createdAt, id: part.id }, page).orderBy)
  const found = Map.groupBy(
    rows.map((row) => row.part),
    (job) => job.instanceId ?? '',
  )
  return new Map(recent.instanceIds.map((id) => [id, pageOf(found.get(id) ?? [], page)]))
}

/** How many recent jobs each of many instances has, by instance id; those without any are left out. */
export async function countJobsOfInstances(database: Database, recent: RecentJobs): Promise<Map<string, number>> {
  if (recent.instanceIds.length === 0) return new Map()
  const rows = await database
    .select({ id: jobs.instanceId, count: count() })
    .from(jobs)
    .where(and(inArray(jobs.instanceId, [...recent.instanceIds]), isRecent(recent.since)))
    .groupBy(jobs.instanceId)
  return new Map(rows.map((row) => [row.id ?? '', row.count]))
}

/** When a duration before now began, at the earliest 1970; undefined when the text is no ISO 8601 duration of whole units. */
export function recentSince(duration: string, now: Date): Date | undefined {
  const parsed = parseDuration(duration)
  if (!parsed) return undefined
  const start = subtractDuration(now, parsed).getTime()
  return new Date(start > 0 ? start : 0)
}

function isRecent(since: Date | null): SQL | undefined {
  return since === null ? undefined : gte(jobs.createdAt, since)
}
