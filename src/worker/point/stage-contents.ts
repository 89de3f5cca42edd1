import { isOutage } from '../../database/outage.ts'
import type { JobRun } from '../../job/handler.ts'
import { adoptContents, stageContents } from '../../recovery-point/contents/record.ts'
import type { WorkerContext } from '../context.ts'
import type { WrittenPoint } from './write-point.ts'

const mostTries = 5

/**
 * Writes down what a point holds before the point is recorded; answers what makes it the point's, for the settling
 * transaction. No backup fails for it: outages of the database are waited out for a while, then the point goes without, with
 * a warning.
 */
export async function stagePointContents(
  context: WorkerContext,
  run: JobRun,
  { contents }: WrittenPoint,
): Promise<(tx: WorkerContext['database'], recoveryPointId: string) => Promise<void>> {
  for (let tries = 1; ; tries++) {
    try {
      const staged = { facts: contents, jobId: run.job.id, now: context.now() }
      const contentsId = await stageContents(context.database, staged)
      return (tx, recoveryPointId) => adoptContents(tx, { contentsId, recoveryPointId })
    } catch (cause) {
      if (!isOutage(cause)) throw cause
      if (tries === mostTries) break
      await run.confirm()
    }
  }
  run.warn(
    'What the recovery point holds could not be listed in the metadata database: verify the point to have that done.',
  )
  return async () => {}
}
