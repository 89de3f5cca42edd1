import { RunStopped } from '../handler.ts'
import type { Ending } from '../settle/verdict.ts'
import { type Answer, answerOf, errorOf } from './ending.ts'
import { watchLimits } from './limits.ts'
import { jobRunOf, type Run } from './running.ts'

/** Cleans up a job that was claimed only for that, and says how the run ends; undefined when nothing may be written any more. */
export async function cleanUpEnding(run: Run): Promise<Ending | undefined> {
  const answer = await abandon(run, run.job.attempt, run.signal)
  if (run.lost.aborted) return undefined
  const error = errorOf(run.handler, new RunStopped('WORKER_LOST'))
  if (answer.kind === 'returned') return { kind: 'cleanedUp', error }
  if (run.closing.aborted) return { kind: 'cleanUpInterrupted' }
  warnOfLeftovers(run, answer)
  return { kind: 'cleanUpFailed', error }
}

/** Cleans up what this run and those before it left, before the job ends without a result. What cannot be removed becomes a warning. */
export async function cleanUpBeforeEnd(run: Run): Promise<void> {
  const tooLong = new AbortController()
  run.limits = watchLimits(run.handler, (reason) => tooLong.abort(new RunStopped(reason)))
  const signal = AbortSignal.any([run.lost, run.closing, tooLong.signal])
  const answer = await abandon(run, run.job.attempt + 1, signal).finally(() => run.limits.end())
  if (answer.kind !== 'returned') warnOfLeftovers(run, answer)
}

/** Has the handler remove what all attempts before the given one left. */
async function abandon(run: Run, attempt: number, signal: AbortSignal): Promise<Answer> {
  const work = async () => {
    signal.throwIfAborted()
    await run.handler.abandon?.(jobRunOf(run, { job: { ...run.job, attempt }, signal }))
    return { kind: 'cancelled' } as const
  }
  return answerOf(work(), signal, run.graceMs)
}

function warnOfLeftovers(run: Run, answer: Answer): void {
  const cause = answer.kind === 'threw' ? answer.cause : new RunStopped('UNRESPONSIVE')
  run.log.error({ err: cause }, 'What attempts at a job left behind could not be removed.')
  run.progress.warn(`What its attempts left behind could not be removed: ${errorOf(run.handler, cause).message}`)
}
