import type { JobRun } from '../../job/handler.ts'
import type { RestoreRequest } from '../../restore/restore.ts'
import type { WorkerContext } from '../context.ts'
import { removeUnfinishedDatabases } from './earlier-attempts.ts'
import { removeUnfinishedFiles } from './restore-as-files.ts'

/** Removes what earlier attempts of a restore, or of its validation, left at the target; the first attempt has none. */
export async function removeUnfinished(context: WorkerContext, run: JobRun, request: RestoreRequest): Promise<void> {
  if (run.job.attempt === 1) return
  if (request.kind === 'FILES') await removeUnfinishedFiles(context, run, request)
  else await removeUnfinishedDatabases(context, run, request)
}
