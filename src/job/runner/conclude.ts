import { setTimeout as delay } from 'node:timers/promises'
import { isOutage } from '../../database/outage.ts'
import { jobs } from '../../database/tables/job.ts'
import { heldBy } from '../change.ts'
import { RunStopped } from '../handler.ts'
import { isHeld } from '../lease/renew.ts'
import { nothingToReport, type ReportBatch } from '../settle/report.ts'
import { settle } from '../settle/settle.ts'
import { type Ending, verdictOf } from '../settle/verdict.ts'
import { isEnded } from '../states.ts'
import { cleanUpBeforeEnd } from './clean-up.ts'
import { failureEnding } from './ending.ts'
import { orLost, type Run } from './running.ts'

const longestPauseMs = 1_000

/**
 * Settles a run as it ended, trying again through outages of the database for as long as the lease lasts. When what the
 * work made cannot be recorded, the job has failed for that reason, and what was made is removed.
 */
export async function conclude(run: Run, ending: Ending): Promise<void> {
  if (run.hasLeftovers && endsWithoutResult(run, ending)) await cleanUpBeforeEnd(run)
  try {
    await settleWhileHeld(run, ending)
  } catch (cause) {
    run.log.error({ err: cause }, 'The outcome of a job could not be recorded.')
    // Its commit may have gone through although the answer was lost: what it recorded is then never removed.
    if (!(await stillHolds(run))) return
    run.hasLeftovers ||= ending.kind === 'completed'
    const failure = failureEnding(run.handler, cause)
    if (run.hasLeftovers && endsWithoutResult(run, failure)) await cleanUpBeforeEnd(run)
    await settleWhileHeld(run, failure)
  }
}

/** Whether nobody will perform the job again, which would have begun with removing what is left. */
function endsWithoutResult({ job, signal }: Run, ending: Ending): boolean {
  const isCancelled = signal.reason instanceof RunStopped && signal.reason.reason === 'CANCELLED'
  const cancelRequestedAt = isCancelled ? new Date() : job.cancelRequestedAt
  return (
    ending.kind !== 'completed' &&
    !isCleanUpEnding(ending) &&
    isEnded(verdictOf({ ...job, cancelRequestedAt }, ending, 0, 0).status)
  )
}

function isCleanUpEnding({ kind }: Ending): boolean {
  return kind === 'cleanedUp' || kind === 'cleanUpFailed' || kind === 'cleanUpInterrupted'
}

async function settleWhileHeld(run: Run, ending: Ending): Promise<void> {
  for (let pauseMs = 25; isHeld(run.lease); pauseMs = Math.min(pauseMs * 2, longestPauseMs)) {
    const report = run.progress.take() ?? nothingToReport
    try {
      return await orLost(run, settleOnce(run, ending, report))
    } catch (cause) {
      run.progress.putBack(report)
      if (!isOutage(cause)) throw cause
      run.log.warn({ err: cause }, 'A job could not be settled yet; it is tried again.')
    }
    await orLost(run, delay(pauseMs))
  }
}

async function stillHolds({ database, lease }: Run): Promise<boolean> {
  const rows = await database.select({ id: jobs.id }).from(jobs).where(heldBy(lease.holder))
  return rows.length > 0
}

async function settleOnce(run: Run, ending: Ending, report: ReportBatch): Promise<void> {
  const { database, lease, handler, hasLeftovers, log } = run
  const change = { ...report.change, ...(hasLeftovers && { mayHaveLeftovers: true }) }
  const settled = await database.transaction((tx) =>
    settle(tx, heldBy(lease.holder), ending, { ...report, change }, handler),
  )
  if (settled) log.info({ status: settled.status }, 'A run of a job was settled.')
  else log.warn('A run had lost its job, or settled it just before; nothing was written.')
}
