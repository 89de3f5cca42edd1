import type { Handler } from '../job/handler.ts'
import { restoreRequestOf } from '../restore/restore.ts'
import { handlerDefaults, type WorkerContext } from './context.ts'
import { removeUnfinishedFiles, restoreAsFiles } from './restore-as-files.ts'
import { removeUnfinishedDatabases, restoreToServer } from './restore-to-server.ts'

/** Restores recovery points: as files into a directory, or into a server. */
export function restoreHandler(context: WorkerContext): Handler {
  return {
    ...handlerDefaults(context),
    perform: (run) => {
      const request = restoreRequestOf(run.job)
      return request.kind === 'FILES' ? restoreAsFiles(context, run, request) : restoreToServer(context, run, request)
    },
    abandon: (run) => {
      const request = restoreRequestOf(run.job)
      return request.kind === 'FILES'
        ? removeUnfinishedFiles(run, request)
        : removeUnfinishedDatabases(context, run, request)
    },
  }
}
