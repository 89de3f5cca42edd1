import { and, eq, inArray, type SQL } from 'drizzle-orm'
import type { Database } from '../../database/connect.ts'
import { jobSubTasks, jobs } from '../../database/tables/job.ts'
import { announce, changeJobs, databaseNow, type JobChange, queueChannel } from '../change.ts'
import type { Handler } from '../handler.ts'
import { isEnded, type JobRow, mayFollow, type SubTaskStatus } from '../states.ts'
import { nothingToReport, type ReportBatch, writeSubTasks } from './report.ts'
import { type Ending, type Verdict, verdictOf } from './verdict.ts'

/**
 * Settles a run, or a job that waits, in the caller's transaction: the one place where a job gets its last status or
 * goes back into the queue. The condition is the fence: resolves with undefined, and has changed nothing, when no job
 * meets it. A `record` of the outcome runs once that is certain, `recordFailure` when the job ends without success, and
 * `recordEnd` when it ends; when one throws, nothing of this may be committed.
 */
export async function settle(
  tx: Database,
  condition: SQL | undefined,
  ending: Ending,
  report: ReportBatch = nothingToReport,
  handler?: Pick<Handler, 'recordFailure' | 'recordEnd'>,
): Promise<JobRow | undefined> {
  const [held] = await tx
    .select({ job: jobs, now: databaseNow.mapWith(jobs.runAt) })
    .from(jobs)
    .where(condition)
    .for('update')
  if (!held) return undefined
  const { job, now } = held
  if ('record' in ending && ending.record) await ending.record(tx)
  const verdict = verdictOf(job, ending, report.warningCount ?? job.warnings.length, Math.random())
  assertMayFollow(job, verdict)
  await writeSubTasks(tx, job, report.subTasks)
  await closeSubTasks(tx, job.id, verdict.openSubTasks, now)
  const [settled] = await changeJobs(
    tx,
    eq(jobs.id, job.id),
    { ...report.change, ...verdict.change, ...after(verdict, now) },
    [...report.events, eventOf(verdict, now)],
    now,
  )
  const isRecorded = ending.kind === 'failed' && ending.recordsFailure === true
  if (settled && (settled.status === 'FAILED' || settled.status === 'CANCELLED') && !isRecorded) {
    await handler?.recordFailure?.(tx, settled, settled.error)
  }
  if (settled && isEnded(settled.status)) await handler?.recordEnd?.(tx, settled)
  if (job.lanes.length > 0 || !isEnded(verdict.status)) await announce(tx, queueChannel)
  return settled
}

function after({ status, delayMs = 0 }: Verdict, now: Date): JobChange {
  if (isEnded(status)) return { status, leaseUntil: null, endedAt: now }
  return { status, leaseUntil: null, workerId: null, runAt: new Date(now.getTime() + delayMs) }
}

function eventOf({ event, delayMs = 0 }: Verdict, now: Date) {
  if (event.type !== 'RETRY_SCHEDULED') return event
  return { ...event, data: { ...event.data, runAt: new Date(now.getTime() + delayMs).toISOString() } }
}

function assertMayFollow(job: JobRow, { status }: Verdict): void {
  if (status === job.status || mayFollow[job.status].includes(status)) return
  throw new Error(`Job ${job.id} is ${job.status}, which ${status} cannot follow.`)
}

/** No sub task of a run that is over stays open; those of attempts lost before it are closed with them. */
async function closeSubTasks(tx: Database, jobId: string, status: SubTaskStatus, now: Date): Promise<void> {
  await tx
    .update(jobSubTasks)
    .set({ status, endedAt: now })
    .where(and(eq(jobSubTasks.jobId, jobId), inArray(jobSubTasks.status, ['NOT_STARTED', 'IN_PROGRESS'])))
}
