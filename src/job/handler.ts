import type { Database } from '../database/connect.ts'
import type { JobError } from '../database/tables/job.ts'
import type { JobOperation, JobRow } from './states.ts'

/** Why a run has to stop, or what became of one that did not. */
export type StopReason =
  /** Someone asked to cancel the job. */
  | 'CANCELLED'
  /** The worker is shutting down; the job is handed back. */
  | 'SHUTDOWN'
  /** The lease ran out or another worker took the job over: nothing may be written any more. */
  | 'LEASE_LOST'
  /** The attempt took longer than its handler's ceiling. */
  | 'TIME_LIMIT'
  /** Nothing advanced for longer than its handler allows. */
  | 'NO_PROGRESS'
  /** The handler did not stop when it was told to. */
  | 'UNRESPONSIVE'
  /** Workers were lost while performing the job until its attempts were used up. */
  | 'WORKER_LOST'

const sentences: Readonly<Record<StopReason, string>> = {
  CANCELLED: 'The job was cancelled.',
  SHUTDOWN: 'The worker is shutting down.',
  LEASE_LOST: 'The worker no longer holds the job.',
  TIME_LIMIT: 'The attempt took longer than it may.',
  NO_PROGRESS: 'The attempt made no progress for too long.',
  UNRESPONSIVE: 'The work did not stop when it was told to.',
  WORKER_LOST: 'The worker performing the job was lost.',
}

/** The reason of a run's abort signal, and the cause given to `Handler.failure` when the runner itself fails a job. */
export class RunStopped extends Error {
  readonly reason: StopReason

  constructor(reason: StopReason, options?: ErrorOptions) {
    super(sentences[reason], options)
    this.name = 'RunStopped'
    this.reason = reason
  }
}

/** A job as the worker that claimed it sees it. */
export type ClaimedJob = JobRow & { workerId: string }

/** How far the work has come; what is left out stays as it was, null means that the total is not known. */
export interface ProgressUpdate {
  bytesDone?: number
  bytesTotal?: number | null
  rowsDone?: number
  rowsTotal?: number | null
}

export interface SubTaskRun {
  progress(update: { bytesDone?: number; bytesTotal?: number | null }): void
}

/** One attempt at one job, as its handler sees it. */
export interface JobRun {
  readonly job: ClaimedJob
  /** Fires with a RunStopped; the handler must end its children, remove what it left and return or throw. */
  readonly signal: AbortSignal
  /** Cheap and coalesced: at most one write a second a job. Anything that grows counts as progress for the no-progress limit. */
  progress(update: ProgressUpdate): void
  /** Shows a part of the work under its own name; ends as COMPLETED, or as FAILED or CANCELLED when the work throws. */
  subTask<Result>(name: string, work: (task: SubTaskRun) => Promise<Result>): Promise<Result>
  /** Adds a warning, at most 1,000 characters of it and at most 100 of them; a job that completes with one says so. */
  warn(text: string): void
  /** Sets a fact worth showing, such as which tools were chosen and why, at most 100 of them; a later value replaces an earlier one. */
  note(name: string, value: string): void
  /** Something went on that shows in no number: counts as progress for the no-progress limit. */
  alive(): void
  /**
   * Writes down at once what later attempts must know, in place of what was kept before: they find it in `job.kept`.
   * Confirms as well that this run still holds the job, and throws the RunStopped when it does not.
   */
  keep(value: unknown): Promise<void>
  /**
   * From here on something may stay behind that is not removed when the run ends: should the job end without a result,
   * `abandon` is asked to.
   */
  leavesBehind(): void
  /** Asks the database whether this run still holds the job; throws the RunStopped when it does not. For use before a step that cannot be undone. */
  confirm(): Promise<void>
}

/** How an attempt ended: a closed set. A `record` runs in the settling transaction, after it is certain that this run still holds the job. */
export type Outcome =
  | { kind: 'completed'; result?: unknown; record?: (tx: Database) => Promise<void> }
  | {
      kind: 'failed'
      error: JobError
      result?: unknown
      record?: (tx: Database) => Promise<void>
      /** `record` writes down all that `recordFailure` would, which is not called then. */
      recordsFailure?: boolean
    }
  | { kind: 'retryLater'; error: JobError }
  | { kind: 'cancelled' }
  | { kind: 'interrupted' }

/** Performs one kind of job. */
export interface Handler {
  /**
   * Does the work, after removing what lost attempts left (every attempt before `job.attempt`).
   * Returns or throws soon after the signal fires; what it threw is then told apart by the signal's reason.
   */
  perform(run: JobRun): Promise<Outcome>
  /** Removes what earlier attempts left; called when the job ends without being performed again. */
  abandon?(run: JobRun): Promise<void>
  /**
   * Records a job's end without success beside that end, in the settling transaction: `error` is null when it was
   * cancelled. Not called for a job that is cancelled while it waits, or that is tried again.
   */
  recordFailure?(tx: Database, job: JobRow, error: JobError | null): Promise<void>
  /** Records that a job has ended, however it did, in the settling transaction. Not called for one that is cancelled while it waits. */
  recordEnd?(tx: Database, job: JobRow): Promise<void>
  /** What to tell the operator about a throw, or about a RunStopped when the runner itself failed the job. */
  failure(cause: unknown): JobError
  /** The longest that one attempt may take, ms. */
  ceilingMs: number
  /** The longest that an attempt may go without progress, ms. */
  stallMs: number
  /** How long it may go on after the signal before it is given up, ms; undefined, or left out: as long as the runner says. */
  graceMs?(job: ClaimedJob): number | undefined
}

/** One handler for each operation that a worker performs; it claims no others. */
export type Handlers = Partial<Record<JobOperation, Handler>>
