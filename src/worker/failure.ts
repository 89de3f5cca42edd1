import type { Logger } from 'pino'
import { EngineError } from '../engine/engine-error.ts'
import { type Failure, type FailureCode, failureOf, isFailureCode } from '../failure.ts'
import { RunStopped, type StopReason } from '../job/handler.ts'
import { SecretError } from '../secret/secret-error.ts'
import { StorageError } from '../storage/storage-error.ts'

/** A handler knows which failure of the table this is. */
export class WorkFailed extends Error {
  readonly code: FailureCode
  readonly details: string | null

  constructor(code: FailureCode, details: string | null = null) {
    super(code)
    this.name = 'WorkFailed'
    this.code = code
    this.details = details
  }
}

const stopCodes: Readonly<Record<StopReason, FailureCode>> = {
  TIME_LIMIT: 'TIME_LIMIT',
  NO_PROGRESS: 'NO_PROGRESS',
  UNRESPONSIVE: 'UNRESPONSIVE',
  WORKER_LOST: 'WORKER_LOST',
  LEASE_LOST: 'WORKER_LOST',
  CANCELLED: 'INTERNAL',
  SHUTDOWN: 'INTERNAL',
}

/** What to tell the operator about a throw. What nothing here knows is logged whole, and told without its text. */
export function failureFrom(cause: unknown, log: Logger): Failure {
  if (cause instanceof WorkFailed) return failureOf(cause.code, cause.details)
  if (cause instanceof EngineError) return failureOf(cause.code, joined(cause.message, cause.details))
  if (cause instanceof StorageError) return failureOf(cause.code, cause.message)
  if (cause instanceof SecretError) return failureOf('SECRET_UNREADABLE', cause.message)
  if (cause instanceof RunStopped) return failureOf(stopCodes[cause.reason])
  if (cause instanceof Error && 'code' in cause && typeof cause.code === 'string' && isFailureCode(cause.code)) {
    return failureOf(cause.code)
  }
  log.error({ err: cause }, 'a job failed in a way that is not in the table of failures')
  return failureOf('INTERNAL')
}

function joined(message: string, details: string): string {
  return details === '' || message.includes(details) ? message : `${message}\n${details}`
}
