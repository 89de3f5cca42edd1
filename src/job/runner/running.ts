import type { Logger } from 'pino'
import type { Database } from '../../database/connect.ts'
import type { Handler, JobRun } from '../handler.ts'
import type { Claim } from './claim.ts'
import type { Limits } from './limits.ts'
import type { Progress } from './progress.ts'

export interface PerformContext {
  database: Database
  log: Logger
  /** How long a handler may go on after the signal before it is given up, ms. */
  graceMs: number
}

/** One run from inside: what its steps share. */
export interface Run extends Claim, PerformContext {
  handler: Handler
  progress: Progress
  /** Fires with the first reason to stop. */
  signal: AbortSignal
  /** Fires when nothing may be written any more, whatever came before. */
  lost: AbortSignal
  /** Fires when the worker shuts down, whatever came before. */
  closing: AbortSignal
  /** The limits that progress counts for now. */
  limits: Limits
  confirm(): Promise<void>
  keep(value: unknown): Promise<void>
  /** A part of this job's work goes on, or could not be taken back. */
  hasLeftovers: boolean
}

/** The run as its handler sees it, for a job and a signal that may be others than its own. */
export function jobRunOf(run: Run, { job, signal }: Pick<JobRun, 'job' | 'signal'>): JobRun {
  const { limits, confirm, keep } = run
  const { progress, subTask, warn, note } = run.progress
  const leavesBehind = () => {
    run.hasLeftovers = true
  }
  return { job, signal, confirm, keep, alive: limits.advance, leavesBehind, progress, subTask, warn, note }
}

/** Waits, but not once the lease is lost: what is under way then may hang and no longer matters. */
export async function orLost<Result>(run: Run, work: Promise<Result>): Promise<Result | undefined> {
  if (run.lost.aborted) return undefined
  const { promise: lost, resolve } = Promise.withResolvers<undefined>()
  const leave = () => resolve(undefined)
  run.lost.addEventListener('abort', leave)
  return Promise.race([work, lost]).finally(() => run.lost.removeEventListener('abort', leave))
}
