import type { JobError } from '../../database/tables/job.ts'
import { type Handler, type Outcome, RunStopped, type StopReason } from '../handler.ts'
import type { Ending } from '../settle/verdict.ts'

/** What a handler did: it returned, it threw, or it went on after the signal for longer than it may. */
export type Answer =
  | { kind: 'returned'; outcome: Outcome }
  | { kind: 'threw'; cause: unknown }
  | { kind: 'ignoredSignal' }

/** Waits for a handler; once the signal has fired, for no longer than the grace. */
export async function answerOf(work: Promise<Outcome>, signal: AbortSignal, graceMs: number): Promise<Answer> {
  const { promise: tooLate, resolve } = Promise.withResolvers<Answer>()
  let timer: NodeJS.Timeout | undefined
  const startGrace = () => {
    timer = setTimeout(resolve, graceMs, { kind: 'ignoredSignal' })
  }
  if (signal.aborted) startGrace()
  else signal.addEventListener('abort', startGrace, { once: true })
  const answered = work.then(
    (outcome): Answer => ({ kind: 'returned', outcome }),
    (cause: unknown): Answer => ({ kind: 'threw', cause }),
  )
  return Promise.race([answered, tooLate]).finally(() => {
    signal.removeEventListener('abort', startGrace)
    clearTimeout(timer)
  })
}

/**
 * How a run ends. Work that was done counts, whatever came in between; for all else the reason why it was stopped
 * comes before what the handler made of it. Undefined when nothing may be written any more.
 */
export function endingOf(handler: Handler, answer: Answer, reason: StopReason | undefined): Ending | undefined {
  if (reason === 'LEASE_LOST') return undefined
  if (answer.kind === 'returned' && answer.outcome.kind === 'completed') return answer.outcome
  const isIgnored = answer.kind === 'ignoredSignal'
  switch (reason) {
    case 'SHUTDOWN':
      return { kind: 'interrupted' }
    case 'CANCELLED':
      return isIgnored ? failed(handler, new RunStopped('UNRESPONSIVE')) : { kind: 'cancelled' }
    case undefined:
      if (answer.kind === 'returned') return answer.outcome
      return failureEnding(handler, answer.kind === 'threw' ? answer.cause : new RunStopped('UNRESPONSIVE'))
    default:
      // While the work may still be going on, it is not started a second time.
      return isIgnored ? failed(handler, new RunStopped(reason)) : failureEnding(handler, new RunStopped(reason))
  }
}

/** The job fails, or is tried again when that may help. */
export function failureEnding(handler: Handler, cause: unknown): Ending {
  const error = errorOf(handler, cause)
  return { kind: error.isRetryable ? 'retryLater' : 'failed', error }
}

function failed(handler: Handler, cause: RunStopped): Ending {
  return { kind: 'failed', error: errorOf(handler, cause) }
}

/** What the handler says about a failure; something fit to be shown also when it cannot say. */
export function errorOf(handler: Handler, cause: unknown): JobError {
  try {
    return handler.failure(cause)
  } catch {
    return {
      code: 'INTERNAL',
      message: 'The job failed in a way that Holdfast did not expect.',
      recommendedActions: ["Look for the job's id in the service's log."],
      isUserError: false,
      isRetryable: false,
      details: null,
    }
  }
}
