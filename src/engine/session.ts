import type { Socket } from 'node:net'
import postgres from 'postgres'
import type { ServerAddress } from './address.ts'
import { checkAddress } from './check-address.ts'
import { asEngineError } from './classify.ts'
import { EngineError } from './engine-error.ts'
import { openSocket } from './open-socket.ts'

/** One connection to one database: it is never replaced by another behind the caller's back. */
export interface Session extends AsyncDisposable {
  sql: postgres.Sql
  /** As in server_version_num, e.g. 150018. */
  versionNumber: number
  /** Aborts when the connection ends before it is disposed of; the reason is an EngineError. */
  lost: AbortSignal
  /** Ends what the session is running, on the server too; nothing can be asked of it any more. */
  interrupt(): void
}

// The role's own settings must not end a question half-way, nor change what it means.
const settings = `
  set search_path = '';
  set statement_timeout = 0;
  set lock_timeout = 0;
  set idle_in_transaction_session_timeout = 0;
  set default_transaction_read_only = off;
  set row_security = off;
  set datestyle = 'ISO, YMD';
  set timezone = 'UTC';
  set standard_conforming_strings = on;
  set max_parallel_workers_per_gather = 0`

const settingsOfNewerServers = `
  select set_config(v.name, v.setting, false)
  from (values ('transaction_timeout', '0'), ('client_connection_check_interval', '2s')) as v (name, setting)
  join pg_settings s on s.name = v.name
  where v.name <> 'client_connection_check_interval' or version() ~ 'linux'`

/**
 * Connects to one database of a server, whatever the database's name holds. Every failure is an EngineError, or the
 * signal's reason; an abort ends what the session is running, on the server too.
 */
export async function openSession(
  address: ServerAddress,
  database: string,
  { signal }: { signal?: AbortSignal | undefined } = {},
): Promise<Session> {
  checkAddress(address)
  signal?.throwIfAborted()
  const line = singleLine(address, signal)
  const options = { ...driverOptions(address, database), socket: line.open }
  const sql = postgres(options)
  const abort = () => {
    line.close()
    void sql.end({ timeout: 0 })
  }
  signal?.addEventListener('abort', abort)
  const dispose = async () => {
    signal?.removeEventListener('abort', abort)
    line.expectEnd()
    await sql.end({ timeout: 1 })
    line.close()
  }
  try {
    await sql.unsafe(settings)
    const about = await sql.unsafe<{ version: number }[]>(
      `select current_setting('server_version_num')::int as version`,
    )
    const { pid, secret } = about.state
    line.identify(pid, secret)
    const versionNumber = about[0]?.version ?? 0
    if (versionNumber < 100_000) throw tooOld(address, versionNumber)
    await sql.unsafe(settingsOfNewerServers)
    return { sql, versionNumber, lost: line.lost, interrupt: abort, [Symbol.asyncDispose]: dispose }
  } catch (error) {
    await dispose()
    if (signal?.aborted) throw signal.reason
    throw asEngineError(error, `Connecting to database ${JSON.stringify(database)} at ${address.host}:${address.port}`)
  }
}

// Every default that the driver would take from the environment is named here.
function driverOptions(address: ServerAddress, database: string) {
  return {
    host: address.host,
    port: address.port,
    user: address.username,
    password: () => address.password,
    database,
    ssl: false,
    max: 1,
    max_pipeline: 100,
    max_lifetime: null,
    idle_timeout: 0,
    connect_timeout: 10,
    keep_alive: 60,
    backoff: false,
    prepare: false,
    fetch_types: false,
    onnotice: () => {},
    connection: { application_name: 'holdfast' },
  }
}

/** The one socket of a session: opened once, watched until its end. */
function singleLine(address: ServerAddress, signal: AbortSignal | undefined) {
  const lost = new AbortController()
  let socket: Socket | undefined
  let isEndExpected = false
  let cancelMessage: Buffer | undefined
  const sayLost = () =>
    new EngineError('CONNECTION_LOST', `The connection to ${address.host}:${address.port} was lost.`)
  return {
    lost: lost.signal,
    async open() {
      if (socket) throw lost.signal.aborted ? lost.signal.reason : sayLost()
      socket = await openSocket(address, signal)
      socket.once('close', () => {
        if (!isEndExpected) lost.abort(sayLost())
      })
      return socket
    },
    identify(pid: number, secret: number) {
      cancelMessage = Buffer.alloc(16)
      cancelMessage.writeInt32BE(16, 0)
      cancelMessage.writeInt32BE(80_877_102, 4)
      cancelMessage.writeInt32BE(pid | 0, 8)
      cancelMessage.writeInt32BE(secret | 0, 12)
    },
    expectEnd() {
      isEndExpected = true
    },
    close() {
      const isRunning = socket && !socket.destroyed
      socket?.destroy()
      if (isRunning && cancelMessage && !isEndExpected) void cancel(address, cancelMessage)
    },
  }
}

// Without this the server goes on counting until it next looks at its client. It is a courtesy: nothing hangs on it.
async function cancel(address: ServerAddress, message: Buffer): Promise<void> {
  const socket = await openSocket(address).catch(() => undefined)
  socket?.on('error', () => {})
  socket?.end(message)
}

function tooOld(address: ServerAddress, versionNumber: number): EngineError {
  return new EngineError(
    'SERVER_TOO_OLD',
    `The server at ${address.host}:${address.port} says its version is ${versionNumber}; 10 is the oldest supported.`,
  )
}
