import type { JobError } from '../../database/tables/job.ts'
import type { EventDraft, JobChange } from '../change.ts'
import type { Outcome } from '../handler.ts'
import { attemptsSpent, type JobRow, type JobStatus, type SubTaskStatus } from '../states.ts'
import { retryDelayMs } from './backoff.ts'
import { storableError, storableJson } from './storable.ts'

/** Every way a run can end: what handlers say, and the ends of a run made only to clean up. */
export type Ending =
  | Outcome
  /** Left-overs are gone; the job ends as cancelled if that was asked for, else as failed with this error. */
  | { kind: 'cleanedUp'; error: JobError }
  /** Left-overs could not be removed; to be tried again. */
  | { kind: 'cleanUpFailed'; error: JobError }
  /** The worker shuts down while left-overs are being removed. */
  | { kind: 'cleanUpInterrupted' }

/** What an ending does to a job: its next status, the other columns, and the event that says so. */
export interface Verdict {
  status: JobStatus
  change: JobChange
  event: EventDraft
  /** What sub tasks still open are closed as. */
  openSubTasks: SubTaskStatus
  /** Set when the job is to be claimed again: how long from now, ms. */
  delayMs?: number
}

/** How often a clean-up is tried before the job ends with what was left behind named in a warning. */
const mostCleanUps = 3

/** Decides what becomes of a job when a run of it ends so. `warningCount` counts all warnings of the attempt. */
export function verdictOf(job: JobRow, ending: Ending, warningCount: number, chance: number): Verdict {
  const isCancelled = job.cancelRequestedAt !== null
  switch (ending.kind) {
    case 'completed':
      return completed(ending.result, warningCount > 0)
    case 'failed':
      return failed(ending.error, ending.result)
    case 'cancelled':
      return cancelled()
    case 'interrupted':
      return isCancelled ? cancelled() : handedBack(job)
    case 'retryLater':
      if (isCancelled) return cancelled()
      return attemptsSpent(job) < job.maxAttempts ? retry(job, ending.error, chance) : failed(ending.error)
    case 'cleanedUp':
      return isCancelled ? cancelled() : failed(ending.error)
    case 'cleanUpFailed':
      if (job.cleanUps < mostCleanUps) return cleanUpLater(job, chance)
      return isCancelled ? cancelled() : failed(ending.error)
    case 'cleanUpInterrupted':
      return {
        ...handedBack(job),
        ...waiting(job),
        change: { handBacks: job.handBacks + 1, cleanUps: job.cleanUps - 1 },
      }
  }
}

function completed(result: unknown, hasWarnings: boolean): Verdict {
  return {
    status: hasWarnings ? 'COMPLETED_WITH_WARNINGS' : 'COMPLETED',
    change: { result: storableJson(result), error: null },
    event: { type: 'ENDED' },
    openSubTasks: 'FAILED',
  }
}

function failed(cause: JobError, result?: unknown): Verdict {
  const error = storableError(cause)
  const change = result === undefined ? { error } : { error, result: storableJson(result) }
  return { status: 'FAILED', change, event: { type: 'ENDED', data: { error } }, openSubTasks: 'FAILED' }
}

function cancelled(): Verdict {
  return { status: 'CANCELLED', change: { error: null }, event: { type: 'ENDED' }, openSubTasks: 'CANCELLED' }
}

function handedBack(job: JobRow): Verdict {
  return {
    status: 'QUEUED',
    change: { handBacks: job.handBacks + 1 },
    event: { type: 'HANDED_BACK', data: { message: 'The worker is shutting down; another one goes on.' } },
    openSubTasks: 'CANCELLED',
    delayMs: 0,
  }
}

function retry(job: JobRow, cause: JobError, chance: number): Verdict {
  const error = storableError(cause)
  return {
    status: 'QUEUED',
    change: { error },
    event: { type: 'RETRY_SCHEDULED', data: { error } },
    openSubTasks: 'FAILED',
    delayMs: retryDelayMs(attemptsSpent(job), chance),
  }
}

function cleanUpLater(job: JobRow, chance: number): Verdict {
  return {
    ...waiting(job),
    change: {},
    event: { type: 'RETRY_SCHEDULED', data: { message: 'What lost attempts left could not be removed yet.' } },
    openSubTasks: 'FAILED',
    delayMs: retryDelayMs(job.cleanUps, chance),
  }
}

/** How a job waits to be cleaned up. */
function waiting(job: JobRow): Pick<Verdict, 'status'> {
  return { status: job.cancelRequestedAt === null ? 'QUEUED' : 'CANCELLING' }
}
