/** What is looked at before a restore: of the recovery point, of the worker, and of the target. */
export const restoreCheckKinds = [
  'POINT_STATE',
  'PROOF',
  'VAULT',
  'MANIFEST',
  'ARTIFACTS',
  'CONTENTS',
  'TOOLS',
  'NETWORK_RULES',
  'TARGET_PLACE',
  'WRITE_PROBE',
  'EXISTING_FILES',
  'FREE_SPACE',
  'CONNECTION',
  'WRITABLE',
  'SERVER_VERSION',
  'RIGHTS',
  'LEAST_PRIVILEGE',
  'ROLES',
  'EXTENSIONS',
  'PRELOADED_LIBRARIES',
  'LOCALE',
  'TABLESPACES',
  'TARGET_DATABASE',
  'SESSIONS',
  'CONNECTIONS',
  'LOCKS',
] as const
export type RestoreCheckKind = (typeof restoreCheckKinds)[number]

export type RestoreCheckStatus = 'PASSED' | 'WARNING' | 'PROBLEM' | 'SKIPPED'

/** What one check found about one subject. */
export interface RestoreCheck {
  kind: RestoreCheckKind
  status: RestoreCheckStatus
  /** What it is about, such as a file, a database or a role by its name. */
  subject: string
  message: string
  /** The code of the table of failures that a restore would fail with; null for everything but a problem. */
  code: string | null
  recommendedActions: string[]
}

/** Everything that was found about a restore before it, and what it will bring back. */
export interface RestoreValidationReport {
  /** Whether no check found a problem. */
  isRestorable: boolean
  checks: RestoreCheck[]
  databases: { name: string; targetName: string; tableCount: number; rowCount: number; sourceBytes: number }[]
  /** Null when the point could not be read. */
  bytesNeeded: number | null
  /** Null when the target does not tell. */
  bytesFree: number | null
  /** The programs that would be used, and why; null when none are needed or found. */
  tools: string | null
}

/** The report of a validation that has completed; null for one that has not, and for every other job. */
export function restoreValidationOf(job: { operation: string; result: unknown }): RestoreValidationReport | null {
  // Written by the handler of validations only, when it settles.
  return job.operation === 'VALIDATE_RESTORE' ? ((job.result as RestoreValidationReport | null) ?? null) : null
}

/** The checks that found a problem, in the order in which they were made. */
export function problemsIn(checks: readonly RestoreCheck[]): RestoreCheck[] {
  return checks.filter(({ status }) => status === 'PROBLEM')
}
