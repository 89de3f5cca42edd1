import type { Database } from '../../database/connect.ts'
import { isOutage } from '../../database/outage.ts'
import type { JobRun } from '../../job/handler.ts'
import type { PointFacts } from '../../recovery-point/contents/contents.ts'
import { adoptContents, recordContents, stageContents } from '../../recovery-point/contents/record.ts'
import type { WorkerContext } from '../context.ts'

const mostTries = 5

/** Makes what was staged a recovery point's: for the transaction that records the point. */
export type Adopt = (tx: Database, recoveryPointId: string) => Promise<void>

/** Writes down what a point holds before the point is recorded. No backup fails for it: the point may go without. */
export async function stagePointContents(context: WorkerContext, run: JobRun, facts: PointFacts): Promise<Adopt> {
  const staged = { facts, jobId: run.job.id, now: context.now() }
  const contentsId = await patiently(context, run, () => stageContents(context.database, staged))
  return async (tx, recoveryPointId) => {
    if (contentsId !== undefined) await adoptContents(tx, { contentsId, recoveryPointId })
  }
}

/** Writes down what a point that is recorded already holds, unless that is known. The job does not fail for it. */
export async function recordPointContents(
  context: WorkerContext,
  run: JobRun,
  { recoveryPointId, facts }: { recoveryPointId: string; facts: PointFacts },
): Promise<void> {
  const staged = { recoveryPointId, facts, jobId: run.job.id, now: context.now() }
  await patiently(context, run, () => recordContents(context.database, staged))
}

/** Outages of the database are waited out for a while; then, or when it cannot be done, there is a warning and nothing to answer. */
async function patiently<Result>(
  { log }: WorkerContext,
  run: JobRun,
  work: () => Promise<Result>,
): Promise<Result | undefined> {
  for (let tries = 1; ; tries++) {
    try {
      return await work()
    } catch (cause) {
      await run.confirm()
      if (isOutage(cause) && tries < mostTries) continue
      log.error({ err: cause, jobId: run.job.id }, 'The list of what a recovery point holds could not be recorded.')
      break
    }
  }
  run.warn('The metadata database did not take the list of what the point holds: verify the point to have that done.')
  return undefined
}
