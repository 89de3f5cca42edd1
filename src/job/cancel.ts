import { and, asc, eq, inArray } from 'drizzle-orm'
import type { Database } from '../database/connect.ts'
import { jobs } from '../database/tables/job.ts'
import { announce, cancelChannel, changeJobs, databaseNow, queueChannel } from './change.ts'
import { settle } from './settle/settle.ts'
import { isEnded, type JobOperation, type JobRow, type JobStatus, type JobTrigger } from './states.ts'

export interface CancelRequest {
  jobId: string
  actor: string
  now: Date
}

/** The job has ended; there is nothing left to cancel. */
export class JobEnded extends Error {
  readonly jobId: string
  readonly status: JobStatus

  constructor(jobId: string, status: JobStatus) {
    super(`Job ${jobId} has ended: ${status}.`)
    this.name = 'JobEnded'
    this.jobId = jobId
    this.status = status
  }
}

/** There is no job with that id. */
export class JobMissing extends Error {
  readonly jobId: string

  constructor(jobId: string) {
    super(`There is no job ${jobId}.`)
    this.name = 'JobMissing'
    this.jobId = jobId
  }
}

/**
 * Asks for a job to be cancelled. One that waits is cancelled at once; one that runs becomes CANCELLING, and its worker
 * is told. A waiting job of which a lost attempt may have left something is cleaned up first. Asking again changes nothing.
 * Throws JobEnded or JobMissing.
 */
export async function requestCancel(database: Database, { jobId, actor, now }: CancelRequest): Promise<JobRow> {
  return database.transaction(async (tx) => {
    const [job] = await tx.select().from(jobs).where(eq(jobs.id, jobId)).for('update')
    if (!job) throw new JobMissing(jobId)
    if (isEnded(job.status)) throw new JobEnded(jobId, job.status)
    if (job.status === 'CANCELLING') return job
    const message = `Cancelled by ${actor}.`
    const mustWait = job.status === 'IN_PROGRESS' || job.mayHaveLeftovers
    const [requested] = await changeJobs(
      tx,
      eq(jobs.id, jobId),
      { cancelRequestedAt: now, ...(mustWait && { status: 'CANCELLING', runAt: databaseNow }) },
      [{ type: 'CANCEL_REQUESTED', data: { message } }],
      now,
    )
    await announce(tx, job.status === 'IN_PROGRESS' ? cancelChannel : queueChannel, jobId)
    const cancelled = mustWait ? undefined : await settle(tx, eq(jobs.id, jobId), { kind: 'cancelled' })
    const result = cancelled ?? requested
    if (!result) throw new JobMissing(jobId)
    return result
  })
}

export interface CancelQueued {
  instanceId: string
  operations: readonly JobOperation[]
  /** Only jobs that came about so; whatever it was when left out. */
  trigger?: JobTrigger
  actor: string
  now: Date
}

/**
 * Cancels the jobs of an instance that wait for a worker, in the caller's transaction, which may hold the instance: one that
 * is being started or settled at this moment is passed over, as one that runs. Resolves with those that were cancelled.
 */
export async function cancelQueued(
  tx: Database,
  { instanceId, operations, trigger, actor, now }: CancelQueued,
): Promise<JobRow[]> {
  const waiting = await tx
    .select({ id: jobs.id })
    .from(jobs)
    .where(
      and(
        eq(jobs.instanceId, instanceId),
        eq(jobs.status, 'QUEUED'),
        inArray(jobs.operation, [...operations]),
        trigger && eq(jobs.trigger, trigger),
      ),
    )
    .orderBy(asc(jobs.createdAt), asc(jobs.id))
    .for('update', { skipLocked: true })
  const cancelled: JobRow[] = []
  for (const { id } of waiting) cancelled.push(await requestCancel(tx, { jobId: id, actor, now }))
  return cancelled
}
