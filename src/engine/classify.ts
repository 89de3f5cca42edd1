import { EngineError, type EngineErrorCode } from './engine-error.ts'
import { withoutData } from './own-words.ts'
import { redact } from './redact.ts'

/** What can be known of a failure, whoever reports it. */
interface Symptom {
  text: string
  /** SQLSTATE, or the system's or the driver's code. */
  code?: string | undefined
}

interface Rule {
  failure: EngineErrorCode
  codes?: readonly string[]
  text?: RegExp
}

/** Read from the top: the first rule that fits decides, so the more special one stands higher. */
const rules: readonly Rule[] = [
  { failure: 'SERVER_TOO_NEW', text: /server version mismatch/ },
  { failure: 'ROW_LEVEL_SECURITY', text: /query would be affected by row-level security policy/ },
  { failure: 'TLS_UNAVAILABLE', text: /server does not support SSL/ },
  {
    failure: 'TLS_UNTRUSTED',
    text: /certificate verify failed|root certificate file|server certificate for .* (does not|do not) match|could not read root certificate/,
    codes: [
      'DEPTH_ZERO_SELF_SIGNED_CERT',
      'SELF_SIGNED_CERT_IN_CHAIN',
      'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
      'UNABLE_TO_GET_ISSUER_CERT',
      'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
      'CERT_HAS_EXPIRED',
      'CERT_NOT_YET_VALID',
      'CERT_SIGNATURE_FAILURE',
      'CERT_UNTRUSTED',
      'CERT_REJECTED',
      'INVALID_CA',
      'INVALID_PURPOSE',
      'HOSTNAME_MISMATCH',
      'ERR_TLS_CERT_ALTNAME_INVALID',
    ],
  },
  {
    failure: 'AUTHENTICATION_FAILED',
    codes: ['28P01', '28000', 'SASL_SIGNATURE_MISMATCH'],
    text: /password authentication failed|no password supplied|no pg_hba\.conf entry|authentication failed for user|FATAL: {2}role .* does not exist|is not permitted to log in/s,
  },
  {
    failure: 'HOST_UNKNOWN',
    codes: ['ENOTFOUND', 'EAI_AGAIN', 'EAI_NONAME', 'EAI_NODATA', 'EAI_FAIL'],
    text: /could not translate host name/,
  },
  {
    failure: 'SERVER_NOT_ACCEPTING',
    codes: ['57P03', '55000'],
    text: /not currently accepting connections|the database system is (starting up|shutting down|in recovery mode|not (yet )?accepting)/,
  },
  {
    failure: 'TOO_MANY_CONNECTIONS',
    codes: ['53300'],
    text: /too many connections|too many clients|remaining connection slots/,
  },
  {
    failure: 'SERVER_UNREACHABLE',
    codes: [
      'ECONNREFUSED',
      'EHOSTUNREACH',
      'ENETUNREACH',
      'EHOSTDOWN',
      'ETIMEDOUT',
      'CONNECT_TIMEOUT',
      'EADDRNOTAVAIL',
    ],
    text: /Connection refused|No route to host|Network is unreachable|timeout expired|Connection timed out/,
  },
  { failure: 'DATABASE_MISSING', codes: ['3D000'], text: /FATAL: {2}database .* does not exist/s },
  {
    failure: 'TABLE_LOCKED',
    codes: ['55P03'],
    text: /could not obtain lock on relation|canceling statement due to lock timeout|canceling statement due to statement timeout.*LOCK TABLE/s,
  },
  { failure: 'QUERY_CANCELLED', codes: ['57014'], text: /canceling statement due to/ },
  {
    failure: 'EXTENSION_MISSING',
    text: /extension "[^"]*" is not available|could not open extension control file|extension "[^"]*" has no installation script/,
  },
  { failure: 'ROLE_MISSING', text: /ERROR: {2}role .* does not exist/ },
  { failure: 'PERMISSION_DENIED', codes: ['42501'], text: /permission denied|must be owner of|must be superuser/ },
  { failure: 'TARGET_IN_USE', codes: ['55006'], text: /is being accessed by other users/ },
  { failure: 'TARGET_NOT_EMPTY', codes: ['42P04'] },
  {
    failure: 'TARGET_READ_ONLY',
    codes: ['25006'],
    text: /cannot execute .* in a read-only transaction|during recovery/,
  },
  { failure: 'TARGET_FULL', codes: ['53100', 'ENOSPC', 'EDQUOT'], text: /No space left on device|Disk quota exceeded/ },
  {
    failure: 'SERVER_RESOURCES_EXHAUSTED',
    codes: ['53000', '53200', '53400', '54000'],
    text: /ERROR: {2}out of (shared )?memory|max_locks_per_transaction/,
  },
  {
    failure: 'ARCHIVE_UNREADABLE',
    // Only what pg_restore says of the archive, in a line of its own: what a server says holds names and rows.
    text: /^pg_restore: (error: |fatal: |\[[\w ()]+\] )(could not read from input file: end of file|input file (does not appear|appears to be|is too short)|did not find magic string|unsupported version .* in file header|sanity check on integer size|expected format .* differs|entry ID .* out of range|unexpected data offset flag|unrecognized data block type|found unexpected block ID|could not find block ID .* possibly (due to )?corrupt|could not (uncompress|decompress) data|(could not decompress: )?unexpected end of file)/m,
  },
  {
    failure: 'CONNECTION_LOST',
    codes: [
      '57P01',
      '57P02',
      '57P04',
      '57P05',
      '25P03',
      '25P04',
      '08000',
      '08001',
      '08003',
      '08004',
      '08006',
      '08P01',
      'ECONNRESET',
      'EPIPE',
      'CONNECTION_CLOSED',
      'CONNECTION_ENDED',
      'CONNECTION_DESTROYED',
    ],
    text: /terminating connection|server closed the connection unexpectedly|Connection reset by peer|could not (receive data from|send data to) server|connection to server was lost|SSL connection has been closed|no connection to the server|could not read COPY data/,
  },
  { failure: 'TOOL_KILLED', text: /terminated by user/ },
  { failure: 'TOOLS_MISSING', codes: ['ENOENT', 'EACCES'], text: /setpriv: failed to execute/ },
]

// Of the driver and the sockets below it; a file's errors are never among them.
const connectionCode =
  /^(CONNECT_TIMEOUT|CONNECTION_\w+|ECONN\w+|EPIPE|ETIMEDOUT|EHOST\w+|ENET\w+|EADDRNOTAVAIL|ENOTFOUND|EAI_\w+)$/

/** Whether an error is PostgreSQL's, its driver's, or of the connection to it, and not that of a stream beside it. */
export function isServerError(error: unknown): boolean {
  if (!(error instanceof Error)) return false
  if (error instanceof EngineError || error.name === 'PostgresError') return true
  return 'code' in error && typeof error.code === 'string' && connectionCode.test(error.code)
}

/** The failure code of a symptom, by its code first and its text second; undefined when no rule knows it. */
export function classify({ text, code }: Symptom): EngineErrorCode | undefined {
  const special = rules.find((rule) => rule.failure === 'ROW_LEVEL_SECURITY' && rule.text?.test(text))
  const byCode = code === undefined ? undefined : rules.find((rule) => rule.codes?.includes(code))
  return (special ?? byCode ?? rules.find((rule) => rule.text?.test(text)))?.failure
}

/** How a program ended. */
export interface ProgramEnd {
  exitCode: number | null
  killedBy: NodeJS.Signals | null
  /** The last of what it wrote to standard error. */
  stderr: string
}

/** The failure of a program that ended badly; `what` names the work for the message, `otherwise` an unknown failure. */
export function programFailure(
  what: string,
  end: ProgramEnd,
  { secrets, otherwise }: { secrets: readonly string[]; otherwise: EngineErrorCode },
): EngineError {
  const said = redact(end.stderr, secrets)
  if (end.killedBy) return new EngineError('TOOL_KILLED', `${what} was ended by ${end.killedBy}.`, said)
  const code = classify({ text: withoutData(end.stderr) }) ?? otherwise
  return new EngineError(code, `${what} failed: ${firstError(said) ?? `exit code ${end.exitCode}, no message`}.`, said)
}

/** Any thrown value as an EngineError: one that is one already stays as it is; `what` names the work for the message. */
export function asEngineError(error: unknown, what: string, otherwise: EngineErrorCode = 'TOOL_FAILED'): EngineError {
  if (error instanceof EngineError) return error
  const symptom = symptomOf(error)
  const said = redact(symptom.text, [])
  const code = classify(symptom) ?? otherwise
  return new EngineError(code, `${what} failed: ${sentencePart(said)}.`, said, { cause: error })
}

function symptomOf(error: unknown): Symptom {
  if (!(error instanceof Error)) return { text: String(error) }
  const code = 'code' in error && typeof error.code === 'string' ? error.code : undefined
  const inner = error instanceof AggregateError ? error.errors.find((each) => each instanceof Error) : undefined
  const text = error.message || (inner instanceof Error ? inner.message : '') || error.name
  const detail = 'detail' in error && typeof error.detail === 'string' ? `\n${error.detail}` : ''
  return { text: `${text}${detail}`, code }
}

function firstError(said: string): string | undefined {
  const lines = said.split('\n').filter((line) => line.trim() !== '')
  const chosen = lines.find((line) => /error:|FATAL:|ERROR:/.test(line)) ?? lines[0]
  return chosen && sentencePart(chosen.replace(/^\w+: (error: |warning: )?/, ''))
}

function sentencePart(text: string): string {
  return (text.split('\n')[0] ?? '').trim().replace(/\.$/, '').slice(0, 500)
}
