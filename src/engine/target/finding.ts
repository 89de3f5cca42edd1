import { EngineError, type EngineErrorCode } from '../engine-error.ts'

/** What is looked at on a server before databases are restored into it. */
export type TargetCheck =
  | 'CONNECTION'
  | 'WRITABLE'
  | 'SERVER_VERSION'
  | 'RIGHTS'
  | 'LEAST_PRIVILEGE'
  | 'ROLES'
  | 'EXTENSIONS'
  | 'PRELOADED_LIBRARIES'
  | 'LOCALE'
  | 'TABLESPACES'
  | 'TARGET_DATABASE'
  | 'SESSIONS'
  | 'CONNECTIONS'
  | 'LOCKS'
  | 'FREE_SPACE'

/** What one check found about one subject. */
export interface Finding {
  kind: TargetCheck
  status: 'PASSED' | 'WARNING' | 'PROBLEM' | 'SKIPPED'
  /** What it is about, such as a database, a role or an extension by its name. */
  subject: string
  message: string
  /** Null for everything but a problem. */
  code: EngineErrorCode | null
  /** What cures exactly this, the most useful first; what the code says comes after it. */
  cures: string[]
}

/** The check found nothing against a restore. */
export function passed(kind: TargetCheck, subject: string, message: string): Finding {
  return { kind, status: 'PASSED', subject, message, code: null, cures: [] }
}

/** A restore may go well, and this deserves a look before. */
export function warning(kind: TargetCheck, subject: string, message: string, cures: string[] = []): Finding {
  return { kind, status: 'WARNING', subject, message, code: null, cures }
}

/** Nothing can be said about it; the message says why. */
export function skipped(kind: TargetCheck, subject: string, message: string): Finding {
  return { kind, status: 'SKIPPED', subject, message, code: null, cures: [] }
}

/** A restore would fail with this error; its details, where there are some, are SQL or text that cures it. */
export function problem(kind: TargetCheck, subject: string, error: EngineError, cures: string[] = []): Finding {
  return { kind, status: 'PROBLEM', subject, message: error.message, code: error.code, cures }
}

/** Throws what was found first, with what else was found beside it; does nothing when nothing was. */
export function refuseProblems(found: readonly EngineError[]): void {
  const [first, ...others] = found
  if (!first) return
  if (others.length === 0) throw first
  const message = found.map((each) => each.message).join(' ')
  throw new EngineError(first.code, message, found.flatMap(({ details }) => details || []).join('\n'))
}
