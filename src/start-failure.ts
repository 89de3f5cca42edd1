import { DataDirectoryInUse } from './database/data-directory.ts'
import { UnfinishedRecovery } from './database/recovery-mark.ts'
import { SecretError } from './secret/secret-error.ts'
import { InvalidSetting } from './settings.ts'
import { WrongKeyFile } from './vault/check-key.ts'

const told = [InvalidSetting, DataDirectoryInUse, WrongKeyFile, UnfinishedRecovery, SecretError]

/** Codes of PostgreSQL and of the network that a wrong DATABASE_URL leads to. */
const unreachable = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ETIMEDOUT',
  'CONNECT_TIMEOUT',
  '28P01',
  '28000',
  '3D000',
])

/** Why the service could not start, in a sentence for whoever starts it; with its whole stack where that is not foreseen. */
export function startFailure(cause: unknown): string {
  if (!(cause instanceof Error)) return String(cause)
  if (told.some((kind) => cause instanceof kind)) return cause.message
  for (let error: unknown = cause; error instanceof Error; error = error.cause) {
    const { code, port } = { code: undefined, port: undefined, ...error }
    if (code === 'EADDRINUSE') {
      return `Port ${String(port)} is in use, by a demo that still runs for one: stop that program, or set HOLDFAST_PORT (of a worker HOLDFAST_HEALTH_PORT) to another.`
    }
    if (typeof code === 'string' && unreachable.has(code)) {
      return `The metadata database that DATABASE_URL names cannot be used: ${error.message || code}.`
    }
  }
  return cause.stack ?? cause.message
}
