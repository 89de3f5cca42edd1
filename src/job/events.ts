import { and, asc, desc, eq, getTableColumns, gt, inArray, lt, type SQL, sql } from 'drizzle-orm'
import type { Database } from '../database/connect.ts'
import { type Page, pageOf } from '../database/page.ts'
import { jobEvents, jobs } from '../database/tables/job.ts'
import type { JobEvent, JobEventType, JobOperation } from './states.ts'

/** A place in the feed over all jobs: everything up to and with it has been seen. */
export interface FeedCursor {
  transactionId: bigint
  id: bigint
}

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

export const feedStart: FeedCursor = { transactionId: 0n, id: 0n }

/** The place of an event in the feed. */
export function cursorOf({ transactionId, id }: FeedCursor): FeedCursor {
  return { transactionId, id }
}

/** The cursor as opaque text. */
export function encodeFeedCursor({ transactionId, id }: FeedCursor): string {
  return Buffer.from(`${transactionId}.${id}`).toString('base64url')
}

const greatestTransactionId = 2n ** 64n - 1n
const greatestEventId = 2n ** 63n - 1n

/** The cursor that the text was made of; undefined for any text that was not made by `encodeFeedCursor`. */
export function decodeFeedCursor(text: string): FeedCursor | undefined {
  if (text.length > 64) return undefined
  const [, transaction, event] =
    /^(\d{1,20})\.(\d{1,19})$/.exec(Buffer.from(text, 'base64url').toString('latin1')) ?? []
  if (transaction === undefined || event === undefined) return undefined
  const cursor = { transactionId: BigInt(transaction), id: BigInt(event) }
  if (cursor.transactionId > greatestTransactionId || cursor.id > greatestEventId) return undefined
  return encodeFeedCursor(cursor) === text ? cursor : undefined
}

/** The oldest transaction that is still open: events of it and of later ones are not given yet. */
const feedEdge = sql`pg_snapshot_xmin(pg_current_snapshot())`

/** Where the feed stands now: what is read after it is new. */
export async function findFeedEnd(database: Database): Promise<FeedCursor> {
  const { edge } = await findEdge(database, sql`false`)
  return { transactionId: edge, id: 0n }
}

/**
 * Reads the events of all jobs after a cursor in feed order: that of their transactions, and for each job that of its
 * own sequence; cut off below the oldest transaction still open, so that an event committed late is never skipped.
 */
export async function readJobEvents(
  database: Database,
  { after = feedStart, filter = {}, limit }: { after?: FeedCursor; filter?: JobEventFilter; limit: number },
): Promise<FeedPage> {
  const isAfter = sql`(${jobEvents.transactionId}, ${jobEvents.id}) > (${after.transactionId.toString()}::xid8, ${after.id.toString()}::bigint)`
  // The edge is taken first: whatever is below it had ended by then, so the second statement sees all of it.
  const { edge, isHeldUp } = await findEdge(database, isAfter)
  const events = await database
    .select(getTableColumns(jobEvents))
    .from(jobEvents)
    .innerJoin(jobs, eq(jobs.id, jobEvents.jobId))
    .where(and(isAfter, sql`${jobEvents.transactionId} < ${edge.toString()}::xid8`, eventsMatching(filter)))
    .orderBy(asc(jobEvents.transactionId), asc(jobEvents.id))
    .limit(limit)
  const last = events.at(-1)
  const isFull = events.length === limit
  const cursor = isFull && last ? cursorOf(last) : laterOf(after, { transactionId: edge, id: 0n })
  return { events, cursor, isFull, isHeldUp }
}

async function findEdge(database: Database, isAfter: SQL): Promise<{ edge: bigint; isHeldUp: boolean }> {
  const [row] = await database.execute<{ edge: string; is_held_up: boolean }>(sql`
    select ${feedEdge}::text as edge,
      exists (select from ${jobEvents} where ${isAfter} and ${jobEvents.transactionId} >= ${feedEdge}) as is_held_up`)
  if (!row) throw new Error('The database did not say where the feed stands.')
  return { edge: BigInt(row.edge), isHeldUp: row.is_held_up }
}

/** A cursor never goes back. */
function laterOf(one: FeedCursor, other: FeedCursor): FeedCursor {
  const isLater =
    one.transactionId > other.transactionId || (one.transactionId === other.transactionId && one.id > other.id)
  return isLater ? one : other
}

/** One page of a job's own events, in their sequence; cursors are sequence numbers. */
export async function pageEventsOfJob(
  database: Database,
  jobId: string,
  page: { first?: number; after?: number; last?: number; before?: number },
): Promise<Page<JobEvent>> {
  const { first, after, last, before } = page
  const rows = await database
    .select()
    .from(jobEvents)
    .where(
      and(
        eq(jobEvents.jobId, jobId),
        after === undefined ? undefined : gt(jobEvents.sequence, after),
        before === undefined ? undefined : lt(jobEvents.sequence, before),
      ),
    )
    .orderBy(last === undefined ? asc(jobEvents.sequence) : desc(jobEvents.sequence))
    .limit((last ?? first ?? 0) + 1)
  return pageOf(rows, page)
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
