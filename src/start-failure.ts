import { ClusterNotStarted } from './cluster/start.ts'
import { DataDirectoryInUse, DataDirectoryUnusable } from './database/data-directory.ts'
import { MigratedByNewer } from './database/migrate.ts'
import { UnfinishedRecovery } from './database/recovery-mark.ts'
import { SecretError } from './secret/secret-error.ts'
import { InvalidSetting } from './settings.ts'
import { WrongKeyFile } from './vault/check-key.ts'

const told = [
  InvalidSetting,
  DataDirectoryInUse,
  DataDirectoryUnusable,
  WrongKeyFile,
  UnfinishedRecovery,
  SecretError,
  MigratedByNewer,
  ClusterNotStarted,
]

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
export function startFailure(cause: unknown, { hasDatabaseUrl }: { hasDatabaseUrl: boolean }): string {
  if (!(cause instanceof Error)) return String(cause)
  if (told.some((kind) => cause instanceof kind)) return cause.message
  for (let error: unknown = cause; error instanceof Error; error = error.cause) {
    const sentence = refusedToListen(error) ?? refusedFile(error) ?? refusedDatabase(error, hasDatabaseUrl)
    if (sentence !== undefined) return sentence
  }
  return cause.stack ?? cause.message
}

function refusedToListen(error: Error): string | undefined {
  const { code, syscall, address, port }: Told = { ...error }
  if (code === 'EADDRINUSE') {
    return `Port ${port} is in use, by a demo that still runs for one: stop that program, or set HOLDFAST_PORT (of a worker HOLDFAST_HEALTH_PORT) to another.`
  }
  if (syscall !== 'listen') return undefined
  if (code === 'EADDRNOTAVAIL') {
    return `This machine has no address ${address} to listen on: set HOLDFAST_HOST to one that it has.`
  }
  return code === 'EACCES'
    ? `Port ${port} is for the superuser here: set HOLDFAST_PORT (of a worker HOLDFAST_HEALTH_PORT) to one from 1024 on.`
    : undefined
}

function refusedFile(error: Error): string | undefined {
  const { code, path }: Told = { ...error }
  if (code !== 'EACCES' || path === undefined) return undefined
  return `This program may not use ${path}: give that to the user that it runs as, or set HOLDFAST_DATA_DIR or HOLDFAST_KEY_FILE to another place.`
}

function refusedDatabase(error: Error, hasDatabaseUrl: boolean): string | undefined {
  const { code }: Told = { ...error }
  if (code === undefined || !unreachable.has(code)) return undefined
  const why = `cannot be used: ${error.message || code}.`
  return hasDatabaseUrl
    ? `The metadata database that DATABASE_URL names ${why}`
    : `The embedded metadata database ${why} Its metadata/server.log in the data directory says more.`
}

/** What errors of the system and of PostgreSQL carry. */
interface Told extends Partial<Error> {
  code?: string
  syscall?: string
  address?: string
  port?: number
  path?: string
}
