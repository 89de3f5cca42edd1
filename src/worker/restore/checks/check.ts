import { EngineError } from '../../../engine/engine-error.ts'
import type { Finding } from '../../../engine/target/finding.ts'
import { type FailureCode, failures } from '../../../failure.ts'
import type { RestoreCheck, RestoreCheckKind } from '../../../restore/validation.ts'
import { StorageError } from '../../../storage/storage-error.ts'

/** The check found nothing against the restore. */
export function passed(kind: RestoreCheckKind, subject: string, message: string): RestoreCheck {
  return { kind, status: 'PASSED', subject, message, code: null, recommendedActions: [] }
}

/** The restore may go well, and this deserves a look before. */
export function warning(
  kind: RestoreCheckKind,
  subject: string,
  message: string,
  recommendedActions: string[] = [],
): RestoreCheck {
  return { kind, status: 'WARNING', subject, message, code: null, recommendedActions }
}

/** Nothing can be said about it; the message says why. */
export function skipped(kind: RestoreCheckKind, subject: string, message: string): RestoreCheck {
  return { kind, status: 'SKIPPED', subject, message, code: null, recommendedActions: [] }
}

/** The restore would fail with this code. What cures exactly this comes before what the table of failures says. */
export function problem(
  kind: RestoreCheckKind,
  code: FailureCode,
  subject: string,
  message: string,
  cures: readonly string[] = [],
): RestoreCheck {
  const recommendedActions = [...new Set([...cures, ...failures[code].recommendedActions])]
  return { kind, status: 'PROBLEM', subject, message, code, recommendedActions }
}

/** What the engine found about a server, in the terms of the table of failures. */
export function checkOf({ kind, status, subject, message, code, cures }: Finding): RestoreCheck {
  if (status === 'PROBLEM' && code !== null) return problem(kind, code, subject, message, cures)
  return { kind, status, subject, message, code: null, recommendedActions: cures }
}

/** What the storage or the engine failed with, as a problem; whatever else was thrown says nothing about the restore and is thrown on. */
export function problemOf(kind: RestoreCheckKind, subject: string, cause: unknown): RestoreCheck {
  if (cause instanceof StorageError || cause instanceof EngineError) {
    return problem(kind, cause.code, subject, cause.message)
  }
  throw cause
}
