import { findSubTasks } from '../../src/job/find.ts'
import type { JobRow } from '../../src/job/states.ts'
import type { RecoveryPoint } from '../../src/recovery-point/recovery-point.ts'
import { type RestoreToValidate, validateRestore } from '../../src/restore/validate.ts'
import {
  problemsIn,
  type RestoreCheckKind,
  type RestoreValidationReport,
  restoreValidationOf,
} from '../../src/restore/validation.ts'
import { actor, type Service } from './protected-server.ts'

/** Validates a restore and waits for its end; throws what the job said when there is no report. */
export async function validated(
  service: Service,
  point: Pick<RecoveryPoint, 'id'>,
  target: RestoreToValidate,
): Promise<{ job: JobRow; report: RestoreValidationReport }> {
  const { id } = await validateRestore(service.database, { recoveryPointId: point.id, target, actor, now: new Date() })
  const job = await service.ended(id)
  const report = restoreValidationOf(job)
  if (!report) throw new Error(`${job.status}: ${JSON.stringify(job.error)}`)
  return { job, report }
}

/** A restore of databases into a server by their own names, or the names given. */
export function intoServer(
  serverId: string,
  changes: Partial<Extract<RestoreToValidate, { kind: 'SERVER' }>> = {},
): RestoreToValidate {
  return { kind: 'SERVER', serverId, databases: null, ownership: { kind: 'NONE' }, ...changes }
}

/** Every problem as one line: its kind, its code and what it is about. */
export function problemLines({ checks }: Pick<RestoreValidationReport, 'checks'>): string[] {
  return problemsIn(checks).map(({ kind, code, subject }) => `${kind} ${code} ${subject}`)
}

/** What was found of one kind, as one line each: the status and what it is about. */
export function linesOf({ checks }: Pick<RestoreValidationReport, 'checks'>, kind: RestoreCheckKind): string[] {
  return checks.filter((check) => check.kind === kind).map(({ status, subject }) => `${status} ${subject}`)
}

/** The names of a job's parts, with how each ended. */
export async function partsOf(service: Service, jobId: string): Promise<string[]> {
  const parts = (await findSubTasks(service.database, [jobId])).get(jobId) ?? []
  return parts.map(({ name, status }) => `${name}: ${status}`)
}
