import { and, eq, getTableColumns, inArray, type SQL } from 'drizzle-orm'
import type { Database } from '../database/connect.ts'
import { type FeedCursor, feedStart, openFeed } from '../database/feed.ts'
import { jobEvents, jobs } from '../database/tables/job.ts'
import type { JobEvent, JobEventType, JobOperation } from './states.ts'

export {
  decodeFeedCursor,
  encodeFeedCursor,
  type FeedCursor,
  feedEpochOf,
  feedStart,
  findFeedEnd,
} from '../database/feed.ts'

/** Which events; what is left out does not matter, an empty list matches none. */
export interface JobEventFilter {
  jobIds?: readonly string[]
  types?: readonly JobEventType[]
  operations?: readonly JobOperation[]
  instanceId?: string
  vaultId?: string
}

export interface FeedPage {
  events: JobEvent[]
  /** Where to go on: behind the last event of a full page, else behind all that could be read. */
  cursor: FeedCursor
  /** Whether the page ended because it was full. */
  isFull: boolean
  /** Whether events exist that cannot be given yet, because a transaction that may come before them is open. */
  isHeldUp: boolean
}

const feed = { table: jobEvents, transactionId: jobEvents.transactionId, id: jobEvents.id }

/** The place of an event in the feed. */
export function cursorOf({ transactionId, id }: FeedCursor): FeedCursor {
  return { transactionId, id }
}

/**
 * Reads the events of all jobs after a cursor in feed order: that of their transactions, and for each job that of its
 * own sequence; cut off below the oldest transaction still open, so that an event committed late is never skipped.
 */
export async function readJobEvents(
  database: Database,
  { after = feedStart, filter = {}, limit }: { after?: FeedCursor; filter?: JobEventFilter; limit: number },
): Promise<FeedPage> {
  const window = await openFeed(database, feed, after)
  const events = await database
    .select(getTableColumns(jobEvents))
    .from(jobEvents)
    .innerJoin(jobs, eq(jobs.id, jobEvents.jobId))
    .where(and(window.where, eventsMatching(filter)))
    .orderBy(...window.orderBy)
    .limit(limit)
  const last = events.at(-1)
  const isFull = events.length === limit
  return { events, cursor: isFull && last ? cursorOf(last) : window.end, isFull, isHeldUp: window.isHeldUp }
}

function eventsMatching(filter: JobEventFilter): SQL | undefined {
  return and(
    filter.jobIds && inArray(jobEvents.jobId, [...filter.jobIds]),
    filter.types && inArray(jobEvents.type, [...filter.types]),
    filter.operations && inArray(jobs.operation, [...filter.operations]),
    filter.instanceId !== undefined ? eq(jobs.instanceId, filter.instanceId) : undefined,
    filter.vaultId !== undefined ? eq(jobs.vaultId, filter.vaultId) : undefined,
  )
}
