import { recordAudit } from '../audit/record.ts'
import type { Database } from '../database/connect.ts'
import { JobEnded, requestCancel } from '../job/cancel.ts'
import { findJobs } from '../job/find.ts'
import { isEnded, type JobRow } from '../job/states.ts'
import { NotFound, Refusal } from '../refusal.ts'

/** The job has ended; there is nothing left to cancel. */
export class JobAlreadyEnded extends Refusal {
  readonly jobId: string

  constructor({ jobId, status }: { jobId: string; status: JobRow['status'] }) {
    super(`The job has ended already: it is ${status}.`, ['Look at its result; start the operation anew if needed.'])
    this.jobId = jobId
  }
}

/** The job must come to its own end: something waits for its answer, or is half changed until then. */
export class JobNotCancellable extends Refusal {
  readonly jobId: string

  constructor(job: JobRow) {
    const why =
      job.operation === 'ROTATE_KEY'
        ? 'a vault with a new key is brought to its end'
        : 'its backup instance waits for what it finds'
    super(`A ${job.operation} job cannot be cancelled: ${why}.`, ['Wait for its end; it takes seconds, or minutes.'])
    this.jobId = job.id
  }
}

export interface CancelJob {
  jobId: string
  actor: string
  now: Date
}

/** Whether cancelling the job would be taken up now. */
export function isCancellable(job: Pick<JobRow, 'operation' | 'status' | 'instanceId'>): boolean {
  return maySkipItsEnd(job) && !isEnded(job.status) && job.status !== 'CANCELLING'
}

/**
 * Asks a job to stop: one that waits is cancelled at once, one that runs is CANCELLING until what it has begun is undone.
 * Asking again changes nothing.
 */
export async function cancelJob(database: Database, { jobId, actor, now }: CancelJob): Promise<JobRow> {
  return database.transaction(async (tx) => {
    const job = (await findJobs(tx, [jobId])).get(jobId)
    if (!job) throw new NotFound('job')
    if (!maySkipItsEnd(job) && !isEnded(job.status)) throw new JobNotCancellable(job)
    const cancelled = await requestCancel(tx, { jobId, actor, now }).catch((cause) => {
      throw cause instanceof JobEnded ? new JobAlreadyEnded(cause) : cause
    })
    if (job.status === 'CANCELLING') return cancelled
    await recordAudit(tx, {
      actor,
      action: 'cancelJob',
      subject: { kind: 'Job', id: jobId, name: `${job.operation} of ${job.instanceName ?? 'Holdfast'}` },
      before: { status: job.status },
      after: { status: cancelled.status },
      now,
    })
    return cancelled
  })
}

/** The end of a configuration job is what moves its instance on, and a key is rotated as a whole; every other job may end without a word. */
function maySkipItsEnd({ operation, instanceId }: Pick<JobRow, 'operation' | 'instanceId'>): boolean {
  if (operation === 'ROTATE_KEY') return false
  return operation !== 'CONFIGURE_PROTECTION' || instanceId === null
}
