import { type Handler, RunStopped, type StopReason } from '../handler.ts'
import { confirmHeld } from '../lease/confirm.ts'
import { isHeld, type Lease } from '../lease/renew.ts'
import { writeReport } from '../settle/report.ts'
import type { Claim } from './claim.ts'
import { cleanUpEnding } from './clean-up.ts'
import { conclude } from './conclude.ts'
import { answerOf, endingOf } from './ending.ts'
import { watchLimits } from './limits.ts'
import { collectProgress } from './progress.ts'
import { jobRunOf, orLost, type PerformContext, type Run } from './running.ts'
import { startWriting } from './writing.ts'

/** A job that this worker runs. */
export interface Performance {
  readonly lease: Lease
  readonly isCleanUp: boolean
  /** Fires the run's signal; the first reason counts. */
  stop(reason: StopReason): void
  /** Resolves when the run is settled, or given up. Never rejects. */
  readonly done: Promise<void>
}

/** Runs a claimed job to its end: performs it, or cleans it up, and settles it. */
export function startPerforming(context: PerformContext, claim: Claim, handler: Handler): Performance {
  const { lease, job, isCleanUp } = claim
  const log = context.log.child({ jobId: job.id, operation: job.operation, attempt: job.attempt })
  const stopped = new AbortController()
  const lost = new AbortController()
  const closing = new AbortController()
  const stop = (reason: StopReason) => {
    if (reason === 'LEASE_LOST') lease.heldUntil = Number.NEGATIVE_INFINITY
    stopped.abort(new RunStopped(reason))
    if (reason === 'LEASE_LOST') lost.abort(new RunStopped(reason))
    if (reason === 'SHUTDOWN') closing.abort(new RunStopped(reason))
  }
  const loseLease = () => stop('LEASE_LOST')
  const progress = collectProgress(job, {
    signal: stopped.signal,
    onNews: () => writing.request(),
    onAdvance: () => run.limits.advance(),
  })
  const writing = startWriting(progress, {
    write: async (batch) => isHeld(lease) && writeReport(context.database, lease.holder, batch),
    onLost: loseLease,
    onFailed: (cause) => log.warn({ err: cause }, 'The progress of a job could not be written; it is tried again.'),
  })
  const run: Run = {
    ...claim,
    ...context,
    log,
    handler,
    progress,
    signal: stopped.signal,
    lost: lost.signal,
    closing: closing.signal,
    limits: watchLimits(handler, stop),
    confirm: () => confirmHeld(context.database, lease, { signal: stopped.signal, onLost: loseLease }),
    keep: async (value) => {
      await confirmHeld(context.database, lease, { signal: stopped.signal, onLost: loseLease, keep: value })
      // What this run leaves may have to be cleaned up before its job is read again.
      job.kept = value
    },
    hasLeftovers: job.mayHaveLeftovers,
  }
  return { lease, isCleanUp, stop, done: live(run, () => writing.close()) }
}

async function live(run: Run, stopWriting: () => Promise<void>): Promise<void> {
  run.log.info(run.isCleanUp ? 'A job is cleaned up.' : 'A job is performed.')
  try {
    const ending = await (run.isCleanUp ? cleanUpEnding(run) : performEnding(run))
    run.limits.end()
    await orLost(run, stopWriting())
    if (ending) await conclude(run, ending)
  } catch (cause) {
    run.log.error({ err: cause }, 'A job could not be settled; it is taken over when its lease has run out.')
  } finally {
    run.limits.end()
    await orLost(run, stopWriting())
  }
  if (run.lost.aborted) run.log.warn('A job was given up: its lease was lost.')
}

async function performEnding(run: Run) {
  const { handler, signal } = run
  const perform = async () => {
    signal.throwIfAborted()
    return handler.perform(jobRunOf(run, { job: run.job, signal }))
  }
  const answer = await answerOf(perform(), signal, handler.graceMs?.(run.job) ?? run.graceMs)
  if (answer.kind === 'ignoredSignal') {
    run.hasLeftovers = true
    run.log.error('The work of a job did not stop when it was told to; it is given up.')
  }
  if (answer.kind === 'threw') run.log.info({ err: answer.cause }, 'The work of a job threw.')
  return endingOf(handler, answer, signal.reason instanceof RunStopped ? signal.reason.reason : undefined)
}
