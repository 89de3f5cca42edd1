import { type Failure, type FailureCode, failureOf, failures, isFailureCode } from '../../../failure.ts'
import type { JobRun } from '../../../job/handler.ts'
import type { RestoreRequest } from '../../../restore/restore.ts'
import { problemsIn, type RestoreCheck, type RestoreCheckKind } from '../../../restore/validation.ts'
import type { WorkerContext } from '../../context.ts'
import { checkRestore } from './check-restore.ts'

/** A restore was not begun, for its checks found problems: all of them are in `error`. */
export class RestoreRefused extends Error {
  readonly error: Failure
  /** What is missing from the point or not as it was written, one sentence each. */
  readonly damage: readonly string[]

  constructor(problems: readonly RestoreCheck[], damage: readonly string[]) {
    super('The checks before the restore found problems.')
    this.name = 'RestoreRefused'
    this.error = failureOfAll(problems)
    this.damage = damage
  }
}

/**
 * Makes the checks of a validation before a restore writes anything. Throws RestoreRefused with all problems at once; what
 * deserves a look becomes warnings of the job.
 */
export async function refuseProblems(context: WorkerContext, run: JobRun, request: RestoreRequest): Promise<void> {
  await run.subTask('Check the point and the target', async () => {
    const { checks, damage } = await checkRestore(context, run, request)
    const problems = problemsIn(checks)
    if (problems.length > 0) throw new RestoreRefused(problems, damage)
    for (const { kind, status, message } of checks) {
      if (status === 'WARNING' && !settledByRestoring.includes(kind)) run.warn(message)
    }
  })
}

/** What the restore itself shows, or tells when it meets it: every byte is read, moved objects are named. The rest is advice. */
const settledByRestoring: readonly RestoreCheckKind[] = ['PROOF', 'TABLESPACES', 'ROLES', 'LEAST_PRIVILEGE']

/** The first problem gives the code; the details are all of them. Tried again only where that may help with each. */
function failureOfAll(problems: readonly RestoreCheck[]): Failure {
  const codes = problems.map(({ code }) => codeOf(code))
  const first = failureOf(codes[0] ?? 'INTERNAL', problems.map(({ message }) => message).join('\n'))
  return {
    ...first,
    recommendedActions: [...new Set(problems.flatMap(({ recommendedActions }) => recommendedActions))],
    isUserError: codes.every((code) => failures[code].isUserError),
    isRetryable: codes.every((code) => failures[code].isRetryable),
  }
}

function codeOf(code: string | null): FailureCode {
  return code !== null && isFailureCode(code) ? code : 'INTERNAL'
}
