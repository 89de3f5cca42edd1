import { type SQL, sql } from 'drizzle-orm'
import type { Database } from '../../database/connect.ts'
import { jobSubTasks } from '../../database/tables/job.ts'
import { changeJobs, databaseNow, type EventDraft, type Holder, heldBy, type JobChange } from '../change.ts'
import type { SubTaskStatus } from '../states.ts'

/** One sub task of the running attempt as it is now. */
export interface SubTaskState {
  position: number
  name: string
  status: SubTaskStatus
  bytesDone: number
  bytesTotal: number | null
  /** By this process's monotonic clock, ms: what is written is how long ago that is, by the database's clock. */
  startedMs: number
  endedMs: number | null
}

/** What a run has to say since it last wrote. */
export interface ReportBatch {
  change: Pick<
    JobChange,
    'bytesDone' | 'bytesTotal' | 'rowsDone' | 'rowsTotal' | 'progressAt' | 'notes' | 'warnings' | 'mayHaveLeftovers'
  >
  events: readonly EventDraft[]
  subTasks: readonly SubTaskState[]
  /** How many warnings the attempt has given so far, written or not. */
  warningCount?: number
}

export const nothingToReport: ReportBatch = { change: {}, events: [], subTasks: [] }

/** Writes what a run has to say; resolves with false, and has changed nothing, when the run no longer holds the job. */
export async function writeReport(
  database: Database,
  holder: Holder,
  { change, events, subTasks }: ReportBatch,
): Promise<boolean> {
  return database.transaction(async (tx) => {
    const [held] = await changeJobs(tx, heldBy(holder), change, events)
    if (!held) return false
    await writeSubTasks(tx, { id: holder.jobId, attempt: holder.attempt }, subTasks)
    return true
  })
}

/** Brings the sub tasks of one attempt to the given states; only for a transaction that holds the job's row. */
export async function writeSubTasks(
  tx: Database,
  { id, attempt }: { id: string; attempt: number },
  subTasks: readonly SubTaskState[],
): Promise<void> {
  if (subTasks.length === 0) return
  const rows = subTasks.map(({ startedMs, endedMs, ...task }) => ({
    ...task,
    jobId: id,
    attempt,
    startedAt: momentOf(startedMs),
    endedAt: endedMs === null ? null : momentOf(endedMs),
  }))
  await tx
    .insert(jobSubTasks)
    .values(rows)
    .onConflictDoUpdate({
      target: [jobSubTasks.jobId, jobSubTasks.attempt, jobSubTasks.position],
      set: {
        status: sql`excluded.status`,
        bytesDone: sql`excluded.bytes_done`,
        bytesTotal: sql`excluded.bytes_total`,
        endedAt: sql`excluded.ended_at`,
      },
    })
}

function momentOf(monotonicMs: number): SQL<Date> {
  const agoMs = Math.max(0, Math.round(performance.now() - monotonicMs))
  return sql`${databaseNow} - ${agoMs} * interval '1 millisecond'`
}
