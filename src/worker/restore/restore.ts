import { failureOf } from '../../failure.ts'
import { recountOverdue } from '../../instance/schedule/recount-overdue.ts'
import type { Handler, JobRun, Outcome } from '../../job/handler.ts'
import { recordDamage } from '../../recovery-point/record-proof.ts'
import { restoreRequestOf } from '../../restore/restore.ts'
import { handlerDefaults, type WorkerContext } from '../context.ts'
import { damageIn } from '../point/damage.ts'
import { removeUnfinishedDatabases } from './earlier-attempts.ts'
import { removeUnfinishedFiles, restoreAsFiles } from './restore-as-files.ts'
import { restoreToServer } from './restore-to-server.ts'

/** Restores recovery points: as files into a directory, or into a server. */
export function restoreHandler(context: WorkerContext): Handler {
  return {
    ...handlerDefaults(context),
    perform: (run) => restore(context, run),
    abandon: (run) => {
      const request = restoreRequestOf(run.job)
      return request.kind === 'FILES'
        ? removeUnfinishedFiles(run, request)
        : removeUnfinishedDatabases(context, run, request)
    },
  }
}

/** A restore that meets damage marks the point, as a verification would. */
async function restore(context: WorkerContext, run: JobRun): Promise<Outcome> {
  const request = restoreRequestOf(run.job)
  const recoveryPointId = run.job.recoveryPointId ?? ''
  const damage: string[] = []
  const outcome = await damageIn(damage, () =>
    request.kind === 'FILES' ? restoreAsFiles(context, run, request) : restoreToServer(context, run, request),
  )
  if (outcome) return outcome
  return {
    kind: 'failed',
    error: failureOf('ARTIFACT_DAMAGED', damage.join('\n')),
    record: (tx) => recountOverdue(tx, run.job.instanceId ?? '', () => recordDamage(tx, { recoveryPointId, damage })),
  }
}
