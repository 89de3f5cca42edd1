import { recountOverdue } from '../../instance/schedule/recount-overdue.ts'
import type { Handler, JobRun, Outcome } from '../../job/handler.ts'
import { recordDamage } from '../../recovery-point/record-damage.ts'
import type { RecoveryPoint } from '../../recovery-point/recovery-point.ts'
import { type RestoreRequest, restoreRequestOf } from '../../restore/restore.ts'
import { problemsIn, type RestoreValidationReport } from '../../restore/validation.ts'
import { handlerDefaults, type WorkerContext } from '../context.ts'
import { certainOf } from '../point/damage.ts'
import { pointOf } from '../subjects.ts'
import { checkRestore } from './checks/check-restore.ts'
import { noteLeftOut } from './earlier-attempts.ts'
import { removeUnfinished } from './remove-unfinished.ts'

/** Validates restores: looks for everything that would make one fail, and tells all of it at once. */
export function validateRestoreHandler(context: WorkerContext): Handler {
  return {
    ...handlerDefaults(context),
    perform: (run) => validateRestore(context, run),
    abandon: (run) => removeUnfinished(context, run, restoreRequestOf(run.job)),
  }
}

/** Problems are what it looks for: it completes, and its warnings are the problems. */
async function validateRestore(context: WorkerContext, run: JobRun): Promise<Outcome> {
  const request = restoreRequestOf(run.job)
  await removeUnfinished(context, run, request)
  if (request.kind === 'SERVER') noteLeftOut(run, request)
  const { point, vault } = await pointOf(context, run.job)
  const { checks, damage, ...found } = await run.subTask('Check the point and the target', () =>
    checkRestore(context, run, request),
  )
  await certainOf(context, vault, damage)
  const problems = problemsIn(checks)
  for (const { message } of problems) run.warn(message)
  const result: RestoreValidationReport = {
    isRestorable: problems.length === 0,
    checks,
    databases: databasesOf(point, request),
    ...found,
  }
  if (damage.length === 0) return { kind: 'completed', result }
  const seen = { recoveryPointId: point.id, damage, level: 'READ_BACK' as const, jobId: run.job.id, now: context.now() }
  return {
    kind: 'completed',
    result,
    record: (tx) => recountOverdue(tx, point.instanceId, () => recordDamage(tx, seen)),
  }
}

function databasesOf(point: RecoveryPoint, request: RestoreRequest): RestoreValidationReport['databases'] {
  return request.databases.flatMap((each) => {
    const { name, targetName } = typeof each === 'string' ? { name: each, targetName: each } : each
    const known = point.databases.find((database) => database.name === name)
    if (!known) return []
    const { tableCount, rowCount, sourceBytes } = known
    return { name, targetName, tableCount, rowCount, sourceBytes }
  })
}
