import { and, eq, is, type SQL, sql } from 'drizzle-orm'
import { PgTransaction, type PgUpdateSetSource } from 'drizzle-orm/pg-core'
import type { Database } from '../database/connect.ts'
import { recordset } from '../database/recordset.ts'
import { type JobEventData, jobEvents, jobs } from '../database/tables/job.ts'
import { isRunning, type JobEventType, type JobRow } from './states.ts'

/** Told of every event, with the job's id. */
export const jobsChannel = 'holdfast_jobs'
/** Told when a job may be waiting for a worker, or a limit has room again. */
export const queueChannel = 'holdfast_job_queue'
/** Told of a running job that is to be cancelled, with its id. */
export const cancelChannel = 'holdfast_job_cancels'

/** Who runs a job: every write of a run is fenced by all three. */
export interface Holder {
  jobId: string
  attempt: number
  workerId: string
}

/** An event before its place in the job's sequence is known. */
export interface EventDraft {
  type: JobEventType
  data?: JobEventData
}

export type JobChange = Omit<PgUpdateSetSource<typeof jobs>, 'id' | 'eventSequence' | 'eventTransactionId'>

/** The database's clock, cut to the precision that is stored, so that it is never ahead of itself. */
export const databaseNow: SQL<Date> = sql`date_trunc('milliseconds', clock_timestamp())`

/** Holds only for the run that still has the job. */
export function heldBy({ jobId, attempt, workerId }: Holder): SQL | undefined {
  return and(eq(jobs.id, jobId), eq(jobs.attempt, attempt), eq(jobs.workerId, workerId), isRunning)
}

/**
 * Changes every job that the condition holds for and appends the same events to each, in the caller's transaction.
 * The events' sequence is taken under the job's row lock, so a job's events have no gaps. Resolves with the jobs as they are then.
 */
export async function changeJobs(
  tx: Database,
  condition: SQL | undefined,
  change: JobChange,
  events: readonly EventDraft[],
  at?: Date,
): Promise<JobRow[]> {
  requireTransaction(tx)
  const changed = await tx
    .update(jobs)
    .set({
      ...change,
      eventSequence: sql`${jobs.eventSequence} + ${events.length}`,
      // Never before the job's last event, else the feed would turn two events round.
      eventTransactionId: sql`greatest(${jobs.eventTransactionId}, pg_current_xact_id())`,
    })
    .where(condition)
    .returning()
  await appendEvents(tx, changed, events, at)
  return changed
}

/** Throws on the pool itself: an event that is committed apart from its job's row would be missed by the feed. */
export function requireTransaction(tx: Database): void {
  if (!is(tx, PgTransaction)) throw new Error('A job is changed inside a transaction only.')
}

/** What an event takes from its job's row, which has counted it already. */
export type CountedJob = Pick<JobRow, 'id' | 'eventSequence' | 'eventTransactionId' | 'status' | 'attempt'>

/** Appends events that the jobs' rows have already counted, and announces the jobs once each. */
export async function appendEvents(
  tx: Database,
  changed: readonly CountedJob[],
  events: readonly EventDraft[],
  at?: Date,
): Promise<void> {
  const rows = changed.flatMap((job) =>
    events.map(({ type, data = {} }, index) => ({
      job_id: job.id,
      sequence: job.eventSequence - events.length + 1 + index,
      transaction_id: job.eventTransactionId,
      type,
      status: job.status,
      attempt: job.attempt,
      data,
    })),
  )
  if (rows.length === 0) return
  const ids = changed.map(({ id }) => id)
  const moment = at ? sql`${at.toISOString()}::timestamptz` : databaseNow
  await Promise.all([
    tx.execute(sql`
      insert into ${jobEvents} (job_id, sequence, transaction_id, at, type, status, attempt, data)
      select job_id, sequence, transaction_id, ${moment}, type, status, attempt, data
      from ${recordset(jobEvents, rows)}`),
    announceEach(tx, jobsChannel, ids),
  ])
}

/** Sends a hint for each payload when the transaction commits. */
async function announceEach(tx: Database, channel: string, payloads: readonly string[]): Promise<void> {
  const each = JSON.stringify(payloads)
  await tx.execute(
    sql`select pg_notify(${channel}, payload) from jsonb_array_elements_text(${each}::text::jsonb) payload`,
  )
}

/** Sends a hint when the transaction commits; equal hints of one transaction are sent once. */
export async function announce(tx: Database, channel: string, payload = ''): Promise<void> {
  await tx.execute(sql`select pg_notify(${channel}, ${payload})`)
}
