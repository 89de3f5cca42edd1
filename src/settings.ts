import { isAbsolute, resolve } from 'node:path'

/** Which parts of the service this process runs. */
export type Role = 'all' | 'api' | 'worker'

export interface Settings {
  dataDirectory: string
  /** Null: Holdfast runs its own PostgreSQL under the data directory. */
  databaseUrl: string | null
  host: string
  port: number
  /** Where a process that is a worker alone answers health and metrics; null: nowhere. */
  healthPort: number | null
  role: Role
  /** Null: no token is asked for, and only loopback may be listened on. */
  apiToken: string | null
  keyFile: string
  /** Jobs that one worker runs at once. */
  concurrency: number
  concurrencyPerServer: number
  concurrencyPerVault: number
  leaseMs: number
  lockWaitMs: number
  /** A backup, restore or verification that takes longer is stopped. */
  jobCeilingMs: number
  /** One that moves no byte and no row for so long is stopped. */
  noProgressMs: number
  /** Connections that one restore into a server loads its data over. */
  restoreJobs: number
  /** Where archives lie unpacked while they are restored over several connections; plain data, without a name. */
  spoolDirectory: string
  /** How long a recovery point that was chosen for removal is left before its bytes go. */
  removalGraceMs: number
  /** How old the newest copy of Holdfast's own metadata in a vault may become. */
  metadataBackupMs: number
  /** Whether such a copy holds the key file, so that the recovery key of its vault brings everything back. */
  metadataHasKeyFile: boolean
  /** Where scratch servers live while a proof restores into them. */
  scratchDirectory: string
  /** For how long policies may keep recovery points, days. */
  retentionLimits: { minDays: number; maxDays: number }
  /** For demonstrations and tests: holds the instant that the service takes for the present. Null: real time. */
  testClockFile: string | null
  /** Folders searched for PostgreSQL's programs before the usual ones. */
  postgresDirectories: string[]
  /** Null: no mail is sent. */
  mailServer: MailServer | null
  /** Whether a webhook outside this machine may be reached without TLS. */
  allowHttpWebhooks: boolean
  logLevel: LogLevel
  /** What one request, socket or process may ask of the API, by the limit's name. */
  limits: Record<ApiLimit, number>
}

/** Where mail is handed over, and who it comes from. */
export interface MailServer {
  host: string
  port: number
  /** TLS from the first byte; else it is begun when the server offers it. */
  isSecure: boolean
  /** Null: nobody signs in. */
  username: string | null
  password: string | null
  from: string
}

const apiLimits = [
  ['tokens', 'HOLDFAST_LIMIT_TOKENS', 1000],
  ['depth', 'HOLDFAST_LIMIT_DEPTH', 14],
  ['aliases', 'HOLDFAST_LIMIT_ALIASES', 30],
  ['directives', 'HOLDFAST_LIMIT_DIRECTIVES', 8],
  ['operations', 'HOLDFAST_LIMIT_OPERATIONS', 10],
  ['fragments', 'HOLDFAST_LIMIT_FRAGMENTS', 50],
  ['fields', 'HOLDFAST_LIMIT_FIELDS', 1000],
  ['bodyBytes', 'HOLDFAST_LIMIT_BODY_BYTES', 262_144],
  ['socketMessageBytes', 'HOLDFAST_LIMIT_SOCKET_MESSAGE_BYTES', 65_536],
  ['subscriptionsPerSocket', 'HOLDFAST_LIMIT_SUBSCRIPTIONS_PER_SOCKET', 100],
  ['sockets', 'HOLDFAST_LIMIT_SOCKETS', 500],
  ['eventStreams', 'HOLDFAST_LIMIT_EVENT_STREAMS', 500],
] as const
type ApiLimit = (typeof apiLimits)[number][0]

const logLevels = ['trace', 'debug', 'info', 'warn', 'error', 'silent'] as const
export type LogLevel = (typeof logLevels)[number]
const roles = ['all', 'api', 'worker'] as const
const loopbackHosts = new Set(['127.0.0.1', 'localhost', '::1'])

/** A setting cannot be used; the message names it, its value and what is expected. */
export class InvalidSetting extends Error {}

/** Reads every setting from the environment; throws InvalidSetting for the first that cannot be used. */
export function readSettings(environment: Record<string, string | undefined> = process.env): Settings {
  const text = (name: string) => environment[name]?.trim() || null
  const whole = (name: string, { fallback, min, max }: { fallback: number; min: number; max: number }) => {
    const value = text(name)
    if (value === null) return fallback
    const parsed = /^\d{1,10}$/.test(value) ? Number(value) : Number.NaN
    if (!(parsed >= min && parsed <= max)) {
      throw new InvalidSetting(`${name} must be a whole number from ${min} to ${max}, not "${value}".`)
    }
    return parsed
  }
  const oneOf = <T extends string>(name: string, choices: readonly T[], fallback: T): T => {
    const value = text(name)
    if (value === null) return fallback
    const choice = choices.find((each) => each === value)
    if (!choice) throw new InvalidSetting(`${name} must be one of ${choices.join(', ')}, not "${value}".`)
    return choice
  }

  const dataDirectory = resolve(text('HOLDFAST_DATA_DIR') ?? 'data')
  const settings: Settings = {
    dataDirectory,
    databaseUrl: databaseUrl(text('DATABASE_URL')),
    host: text('HOLDFAST_HOST') ?? '127.0.0.1',
    port: whole('HOLDFAST_PORT', { fallback: 4000, min: 0, max: 65_535 }),
    healthPort:
      text('HOLDFAST_HEALTH_PORT') === null
        ? null
        : whole('HOLDFAST_HEALTH_PORT', { fallback: 0, min: 0, max: 65_535 }),
    role: oneOf('HOLDFAST_ROLE', roles, 'all'),
    apiToken: apiToken(text('HOLDFAST_API_TOKEN')),
    keyFile: resolve(dataDirectory, text('HOLDFAST_KEY_FILE') ?? 'secret.key'),
    concurrency: whole('HOLDFAST_CONCURRENCY', { fallback: 2, min: 1, max: 100 }),
    concurrencyPerServer: whole('HOLDFAST_CONCURRENCY_PER_SERVER', { fallback: 2, min: 1, max: 100 }),
    concurrencyPerVault: whole('HOLDFAST_CONCURRENCY_PER_VAULT', { fallback: 4, min: 1, max: 100 }),
    leaseMs: whole('HOLDFAST_LEASE_SECONDS', { fallback: 15, min: 2, max: 3600 }) * 1000,
    lockWaitMs: whole('HOLDFAST_LOCK_WAIT_SECONDS', { fallback: 60, min: 1, max: 86_400 }) * 1000,
    jobCeilingMs: whole('HOLDFAST_JOB_CEILING_MINUTES', { fallback: 24 * 60, min: 1, max: 14 * 24 * 60 }) * 60_000,
    noProgressMs: whole('HOLDFAST_NO_PROGRESS_SECONDS', { fallback: 900, min: 5, max: 86_400 }) * 1000,
    restoreJobs: whole('HOLDFAST_RESTORE_JOBS', { fallback: 2, min: 1, max: 16 }),
    spoolDirectory: resolve(dataDirectory, text('HOLDFAST_SPOOL_DIR') ?? 'spool'),
    removalGraceMs: whole('HOLDFAST_REMOVAL_GRACE_MINUTES', { fallback: 60, min: 0, max: 525_600 }) * 60_000,
    metadataBackupMs: whole('HOLDFAST_METADATA_BACKUP_HOURS', { fallback: 24, min: 1, max: 8760 }) * 3_600_000,
    metadataHasKeyFile: oneOf('HOLDFAST_METADATA_KEY_FILE', ['true', 'false'], 'true') === 'true',
    scratchDirectory: resolve(dataDirectory, text('HOLDFAST_SCRATCH_DIR') ?? 'scratch'),
    retentionLimits: {
      minDays: whole('HOLDFAST_RETENTION_MIN_DAYS', { fallback: 7, min: 1, max: 36_525 }),
      maxDays: whole('HOLDFAST_RETENTION_MAX_DAYS', { fallback: 3653, min: 1, max: 36_525 }),
    },
    testClockFile: path(text('HOLDFAST_TEST_CLOCK_FILE')),
    postgresDirectories: directories(text('HOLDFAST_POSTGRES_DIRECTORIES')),
    mailServer: mailServer(text('HOLDFAST_SMTP_URL'), text('HOLDFAST_SMTP_FROM')),
    allowHttpWebhooks: oneOf('HOLDFAST_WEBHOOK_ALLOW_HTTP', ['true', 'false'], 'false') === 'true',
    logLevel: oneOf('HOLDFAST_LOG_LEVEL', logLevels, 'info'),
    limits: limitsFrom((name, fallback) => whole(name, { fallback, min: 1, max: 1_000_000_000 })),
  }
  const { minDays, maxDays } = settings.retentionLimits
  if (minDays > maxDays) {
    throw new InvalidSetting(
      `HOLDFAST_RETENTION_MIN_DAYS is ${minDays}, more than HOLDFAST_RETENTION_MAX_DAYS, which is ${maxDays}.`,
    )
  }
  if (settings.role !== 'all' && settings.databaseUrl === null) {
    throw new InvalidSetting(
      `HOLDFAST_ROLE is "${settings.role}": set DATABASE_URL too, so that the API and its workers share one database.`,
    )
  }
  if (settings.role !== 'worker' && settings.healthPort !== null) {
    throw new InvalidSetting(
      `HOLDFAST_HEALTH_PORT is for the role "worker", not "${settings.role}": the API answers health and metrics on HOLDFAST_PORT.`,
    )
  }
  // A worker alone answers health and metrics at the most, and nobody is asked for a token there.
  if (settings.role !== 'worker' && !settings.apiToken && !loopbackHosts.has(settings.host)) {
    throw new InvalidSetting(
      `HOLDFAST_HOST is "${settings.host}", which others can reach: set HOLDFAST_API_TOKEN too, or listen on 127.0.0.1.`,
    )
  }
  return settings
}

/** What a recovery is told by the environment: the service's own settings, and how to sign in to the bucket of a vault. */
export function readRecoverySettings(environment: Record<string, string | undefined> = process.env): {
  accessKey: { accessKeyId: string; secretAccessKey: string } | null
  /** The settings of the service, in that data directory unless it is null. */
  settingsFor: (dataDirectory: string | null) => Settings
} {
  const accessKeyId = environment.HOLDFAST_RECOVERY_ACCESS_KEY_ID?.trim()
  const secretAccessKey = environment.HOLDFAST_RECOVERY_SECRET_ACCESS_KEY?.trim()
  return {
    accessKey: accessKeyId && secretAccessKey ? { accessKeyId, secretAccessKey } : null,
    settingsFor: (dataDirectory) =>
      readSettings({ ...environment, ...(dataDirectory !== null && { HOLDFAST_DATA_DIR: dataDirectory }) }),
  }
}

function databaseUrl(value: string | null): string | null {
  if (value !== null && !/^postgres(ql)?:\/\//.test(value)) {
    throw new InvalidSetting('DATABASE_URL must start with postgres:// or postgresql://; its value is not shown here.')
  }
  return value
}

function apiToken(value: string | null): string | null {
  if (value !== null && !/^[\x21-\x7e]{16,}$/.test(value)) {
    throw new InvalidSetting(
      'HOLDFAST_API_TOKEN must have at least 16 characters, ASCII without spaces; its value is not shown here.',
    )
  }
  return value
}

function path(value: string | null): string | null {
  return value === null ? null : resolve(value)
}

function mailServer(value: string | null, from: string | null): MailServer | null {
  if (value === null && from === null) return null
  if (value === null || from === null) {
    throw new InvalidSetting('HOLDFAST_SMTP_URL and HOLDFAST_SMTP_FROM belong together: set both, or neither.')
  }
  if (!/^[\x21-\x7e]{1,254}$/.test(from) || !/^[^@<>(),;:"]+@[^@<>(),;:"]+$/.test(from)) {
    throw new InvalidSetting(
      `HOLDFAST_SMTP_FROM must be a plain mail address such as holdfast@example.com, not "${from}".`,
    )
  }
  const url = URL.canParse(value) ? new URL(value) : undefined
  const isPlain = url && /^(\/?)$/.test(url.pathname) && url.search === '' && url.hash === ''
  const username = plainText(url?.username ?? '')
  const password = plainText(url?.password ?? '')
  if (!isPlain || !/^smtps?:$/.test(url.protocol) || url.hostname === '' || username === null || password === null) {
    throw new InvalidSetting(
      'HOLDFAST_SMTP_URL must look like smtps://user:password@host:465 or smtp://host:587; its value is not shown here.',
    )
  }
  const isSecure = url.protocol === 'smtps:'
  return {
    host: url.hostname.replaceAll(/[[\]]/g, ''),
    port: url.port === '' ? (isSecure ? 465 : 587) : Number(url.port),
    isSecure,
    username: username === '' ? null : username,
    password: username === '' ? null : password,
    from,
  }
}

/** What a part of a URL means; null when it is not well written. */
function plainText(part: string): string | null {
  try {
    return decodeURIComponent(part)
  } catch {
    return null
  }
}

function directories(value: string | null): string[] {
  const found = value?.split(':').filter((each) => each !== '') ?? []
  const relative = found.find((each) => !isAbsolute(each))
  if (relative) throw new InvalidSetting(`HOLDFAST_POSTGRES_DIRECTORIES must name absolute folders, not "${relative}".`)
  return found
}

function limitsFrom(read: (name: string, fallback: number) => number): Settings['limits'] {
  const limits = apiLimits.map(([limit, name, fallback]) => [limit, read(name, fallback)])
  // Every limit of the list above is in it.
  return Object.fromEntries(limits) as Settings['limits']
}
