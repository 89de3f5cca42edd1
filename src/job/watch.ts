import type { Database } from '../database/connect.ts'
import { feedRests, follow } from '../database/follow.ts'
import type { Listener } from '../database/listen.ts'
import { jobsChannel } from './change.ts'
import { type FeedCursor, feedStart, type JobEventFilter, readJobEvents } from './events.ts'
import { findJobs } from './find.ts'
import { isEnded, type JobEvent, type JobRow } from './states.ts'

export { jobsChannel } from './change.ts'

/** How often the database is asked although no notification came: those are hints and may be lost, ms. */
const pollMs = 3_000
const pageSize = 100

export interface WatchJobEvents {
  /** Where to go on; from the first event when left out. */
  after?: FeedCursor
  filter?: JobEventFilter
  signal?: AbortSignal
}

/**
 * Every matching event after the cursor: first those that are there, then each as it comes, in feed order and without gaps,
 * across outages of the database. Ends when the signal fires or it is returned, and is then free of everything.
 */
export function watchJobEvents(
  database: Database,
  listener: Pick<Listener, 'subscribe'>,
  { after = feedStart, filter = {}, signal }: WatchJobEvents = {},
): AsyncIterableIterator<JobEvent, undefined> {
  let cursor = after
  const restAfter = feedRests(pollMs)
  return follow({
    signal,
    subscribe: (onHint) =>
      listener.subscribe(jobsChannel, (jobId) => {
        if (jobId === undefined || !filter.jobIds || filter.jobIds.includes(jobId)) onHint()
      }),
    async look() {
      const page = await readJobEvents(database, { after: cursor, filter, limit: pageSize })
      cursor = page.cursor
      return { items: page.events, restMs: restAfter(page), isLast: false }
    },
  })
}

/**
 * The job as it is now, then again after each change, the newest state where several came together; completes with the
 * state in which the job ended, at once when there is no such job.
 */
export function watchJob(
  database: Database,
  listener: Pick<Listener, 'subscribe'>,
  jobId: string,
  { signal }: { signal?: AbortSignal } = {},
): AsyncIterableIterator<JobRow, undefined> {
  let seen = 0
  return follow({
    signal,
    subscribe: (onHint) =>
      listener.subscribe(jobsChannel, (changed) => {
        if (changed === undefined || changed === jobId) onHint()
      }),
    async look() {
      const job = (await findJobs(database, [jobId])).get(jobId)
      const isNews = job !== undefined && job.eventSequence > seen
      seen = job?.eventSequence ?? seen
      return { items: isNews ? [job] : [], restMs: pollMs, isLast: job === undefined || isEnded(job.status) }
    },
  })
}
