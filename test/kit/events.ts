import type { Database } from '../../src/database/connect.ts'
import type { Page } from '../../src/database/page.ts'
import { type EventPageRequest, pageEventsOfJobs } from '../../src/job/page-events.ts'
import type { JobEvent } from '../../src/job/states.ts'

/** One page of a job's own events, in their sequence. */
export async function eventsOf(database: Database, jobId: string, page: EventPageRequest): Promise<Page<JobEvent>> {
  const found = (await pageEventsOfJobs(database, { jobIds: [jobId], page })).get(jobId)
  if (!found) throw new Error(`There is no page of events of job ${jobId}.`)
  return found
}
