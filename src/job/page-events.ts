import { and, asc, desc, gt, lt, sql } from 'drizzle-orm'
import type { Database } from '../database/connect.ts'
import { type Page, pageOf } from '../database/page.ts'
import { jobEvents } from '../database/tables/job.ts'
import { wanted, wantedId } from '../database/wanted.ts'
import type { JobEvent } from './states.ts'

/** A part of a job's own events; the places are sequence numbers. */
export interface EventPageRequest {
  first?: number
  after?: number
  last?: number
  before?: number
}

/** The same page of the events of each of many jobs, in their sequence, by job id. */
export async function pageEventsOfJobs(
  database: Database,
  { jobIds, page }: { jobIds: readonly string[]; page: EventPageRequest },
): Promise<Map<string, Page<JobEvent>>> {
  if (jobIds.length === 0) return new Map()
  const { first, after, last, before } = page
  const direction = last === undefined ? asc : desc
  const part = database
    .select()
    .from(jobEvents)
    .where(
      and(
        sql`${jobEvents.jobId} = ${wantedId}`,
        after === undefined ? undefined : gt(jobEvents.sequence, after),
        before === undefined ? undefined : lt(jobEvents.sequence, before),
      ),
    )
    .orderBy(direction(jobEvents.sequence))
    .limit((last ?? first ?? 0) + 1)
    .as('part')
  const rows = await database
    .select()
    .from(wanted(jobIds))
    .innerJoinLateral(part, sql`true`)
    .orderBy(direction(part.sequence))
  const found = Map.groupBy(
    rows.map((row) => row.part),
    (event) => event.jobId,
  )
  return new Map(jobIds.map((id) => [id, pageOf(found.get(id) ?? [], page)]))
}
