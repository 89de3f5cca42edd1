import { type Failure, failureOf } from '../../failure.ts'
import { recountOverdue } from '../../instance/schedule/recount-overdue.ts'
import type { Handler, JobRun, Outcome } from '../../job/handler.ts'
import { recordDamage } from '../../recovery-point/record-damage.ts'
import type { VerifyLevel } from '../../recovery-point/recovery-point.ts'
import { type RestoreRequest, restoreRequestOf } from '../../restore/restore.ts'
import { handlerDefaults, type WorkerContext } from '../context.ts'
import { certainOf, damageIn, storedDamageOf } from '../point/damage.ts'
import { pointOf } from '../subjects.ts'
import { RestoreRefused, refuseProblems } from './checks/refuse-problems.ts'
import { takeUpEarlierDatabases } from './earlier-attempts.ts'
import { removeUnfinished } from './remove-unfinished.ts'
import { completedBefore, restoreAsFiles } from './restore-as-files.ts'
import { restoreToServer } from './restore-to-server.ts'

/** Giving databases their names is not broken off, and a server that goes away meanwhile is waited for. */
const longestNamingMs = 150_000

/** Restores recovery points: as files into a directory, or into a server. */
export function restoreHandler(context: WorkerContext): Handler {
  return {
    ...handlerDefaults(context),
    graceMs: (job) => (restoreRequestOf(job).kind === 'SERVER' ? longestNamingMs : undefined),
    perform: (run) => restore(context, run),
    abandon: (run) => removeUnfinished(context, run, restoreRequestOf(run.job)),
  }
}

/** Nothing is written before all checks have passed. A restore that meets damage marks the point, as a verification would. */
async function restore(context: WorkerContext, run: JobRun): Promise<Outcome> {
  const request = restoreRequestOf(run.job)
  const completed = await takeUp(context, run, request)
  if (completed) return completed
  const damage: string[] = []
  try {
    await refuseProblems(context, run, request)
    const outcome = await damageIn(damage, () => perform(context, run, request), storedDamageOf)
    if (outcome) return outcome
    const error = failureOf('ARTIFACT_DAMAGED', damage.join('\n'))
    return await failed(context, run, { error, damage, level: 'DECODED' })
  } catch (cause) {
    if (!(cause instanceof RestoreRefused)) throw cause
    const { error, damage: seen } = cause
    // By names and sizes alone: whoever reads all of it finds out whether it is so.
    return await failed(context, run, { error, damage: seen, level: 'READ_BACK' })
  }
}

/** The end of a restore that an earlier attempt completed; undefined, and nothing unfinished is left, when none did. */
async function takeUp(context: WorkerContext, run: JobRun, request: RestoreRequest): Promise<Outcome | undefined> {
  if (run.job.attempt === 1) return undefined
  if (request.kind === 'SERVER') {
    const report = await takeUpEarlierDatabases(context, run, request)
    return report && { kind: 'completed', result: report }
  }
  const completed = await completedBefore(context, run, request)
  if (!completed) await removeUnfinished(context, run, request)
  return completed
}

function perform(context: WorkerContext, run: JobRun, request: RestoreRequest): Promise<Outcome> {
  return request.kind === 'FILES' ? restoreAsFiles(context, run, request) : restoreToServer(context, run, request)
}

async function failed(
  context: WorkerContext,
  { job }: JobRun,
  { error, damage, level }: { error: Failure; damage: readonly string[]; level: VerifyLevel },
): Promise<Outcome> {
  if (damage.length === 0) return { kind: error.isRetryable ? 'retryLater' : 'failed', error }
  await certainOf(context, (await pointOf(context, job)).vault, damage)
  const found = {
    recoveryPointId: job.recoveryPointId ?? '',
    jobId: job.id,
    damage: [...damage],
    level,
    now: context.now(),
  }
  return {
    kind: 'failed',
    error,
    record: (tx) => recountOverdue(tx, job.instanceId ?? '', () => recordDamage(tx, found)),
  }
}
