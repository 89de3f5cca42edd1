import { join } from 'node:path'
import type { Readable, Writable } from 'node:stream'
import type { ServerAddress } from './address.ts'
import { checkAddress } from './check-address.ts'
import { type ProgramEnd, programFailure } from './classify.ts'
import type { EngineErrorCode } from './engine-error.ts'
import type { Toolset } from './find-tools.ts'
import { runProgram } from './run-program.ts'
import { openSecretFile } from './secret-file.ts'
import { trustedCertificates } from './trusted-certificates.ts'

/** One run of pg_dump, pg_dumpall or pg_restore. */
export interface ToolRun {
  tool: 'pg_dump' | 'pg_dumpall' | 'pg_restore'
  tools: Toolset
  args: readonly string[]
  /** For pg_restore: the entries of the archive to restore, as `--use-list` reads them; all when left out. */
  useList?: string | undefined
  /** For pg_restore: the open file of the archive, which it can seek in; standard input when left out. */
  archiveFile?: number | undefined
  /** Settings of the sessions that it opens, by their names. */
  settings?: Readonly<Record<string, string | number>> | undefined
  /** The work in words, for messages: "Dumping database …". */
  what: string
  stdin?: Readable | undefined
  sink?: Writable | undefined
  signal: AbortSignal
  onFirstOutput?: (() => void) | undefined
  onInput?: ((bytes: number) => void) | undefined
  /** Ends that count as success although the exit code is not 0. */
  isHarmless?: ((end: ProgramEnd) => boolean) | undefined
  /** The code of a failure that no rule knows. */
  otherwise?: EngineErrorCode
}

// Settings of the account we run under must not reach the server: libpq finds no file of its own here.
const nowhere = '/nonexistent/holdfast'
const sslModes = { DISABLE: 'disable', REQUIRE: 'require', VERIFY_CA: 'verify-ca', VERIFY_FULL: 'verify-full' } as const

/**
 * Runs a tool against one database of a server; the password and certificates reach it through descriptors of files
 * without a name. Resolves with the warnings it wrote; throws an EngineError when it ended badly.
 */
export async function runServerTool(address: ServerAddress, database: string, run: ToolRun): Promise<string[]> {
  checkAddress(address)
  const trusted = trustedCertificates(address)
  await using secrets = new AsyncDisposableStack()
  const keep = async (text: string) => secrets.adopt(await openSecretFile(text), (file) => file.close())
  const files = [await keep(`*:*:*:*:${escapePassword(address.password)}\n`)]
  if (trusted !== undefined) files.push(await keep(trusted))
  return await runTool(run, {
    descriptors: files.map((file) => file.fd),
    secrets: [address.password],
    environment: {
      PGHOST: address.host,
      PGPORT: String(address.port),
      PGUSER: address.username,
      PGDATABASE: database,
      PGPASSFILE: '/proc/self/fd/3',
      PGSSLMODE: sslModes[address.tlsMode],
      PGSSLROOTCERT: trusted === undefined ? nowhere : '/proc/self/fd/4',
      PGSSLCERT: nowhere,
      PGSSLKEY: nowhere,
      PGSSLCRL: nowhere,
      PGSERVICEFILE: nowhere,
      PGSYSCONFDIR: nowhere,
      PGGSSENCMODE: 'disable',
      PGCONNECT_TIMEOUT: '10',
      PGAPPNAME: 'holdfast',
      PGOPTIONS: sessionOptions({ default_transaction_read_only: 'off', ...run.settings }),
    },
  })
}

/** Runs a tool that needs no server. Resolves with its warnings; throws an EngineError when it ended badly. */
export async function runTool(
  run: ToolRun,
  {
    environment = {},
    descriptors = [],
    secrets = [],
  }: { environment?: Record<string, string>; descriptors?: readonly number[]; secrets?: readonly string[] } = {},
): Promise<string[]> {
  await using list = run.useList === undefined ? undefined : await disposableFile(run.useList)
  const files = list ? [...descriptors, list.fd] : [...descriptors]
  const args = list ? [`--use-list=/proc/self/fd/${2 + files.length}`, ...run.args] : [...run.args]
  if (run.archiveFile !== undefined) args.push(`/proc/self/fd/${2 + files.push(run.archiveFile)}`)
  const end = await runProgram({
    ...run,
    program: join(run.tools.directory, run.tool),
    args,
    descriptors: files,
    environment: { PATH: `${run.tools.directory}:/usr/bin:/bin`, HOME: nowhere, LC_ALL: 'C', ...environment },
  })
  if ((end.exitCode === 0 && !end.killedBy) || run.isHarmless?.(end)) return warningsIn(end.stderr)
  throw programFailure(run.what, end, { secrets, otherwise: run.otherwise ?? 'TOOL_FAILED' })
}

function sessionOptions(settings: Readonly<Record<string, string | number>>): string {
  return Object.entries(settings)
    .map(([name, value]) => `-c ${name}=${value}`)
    .join(' ')
}

async function disposableFile(text: string) {
  const file = await openSecretFile(text)
  return { fd: file.fd, [Symbol.asyncDispose]: () => file.close() }
}

function escapePassword(password: string): string {
  return password.replaceAll('\\', '\\\\').replaceAll(':', '\\:')
}

/** A count of errors is no warning: they were judged one by one. */
function warningsIn(stderr: string): string[] {
  return stderr
    .split('\n')
    .filter((line) => /^pg_\w+: warning: (?!errors ignored on restore: \d+$)/.test(line))
    .map((line) => line.replace(/^pg_\w+: warning: /, ''))
}
