import { type ChildProcess, spawn } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { Writable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { describe, expect } from 'vitest'
import type { Cluster } from '../src/cluster/start.ts'
import { dumpDatabase } from '../src/engine/dump.ts'
import { dumpGlobals } from '../src/engine/dump-globals.ts'
import { inspectServer } from '../src/engine/inspect.ts'
import { runServerTool } from '../src/engine/run-tool.ts'
import {
  addressOf,
  connect,
  createDatabase,
  dumpsOf,
  failureOf,
  installedTools,
  memorySink,
  never,
  processesWith,
  run,
  stalledSink,
} from './kit/engine.ts'
import { sourceServer } from './kit/source-server.ts'
import { test } from './kit/test.ts'
import { waitFor, within } from './kit/wait-for.ts'

const large = `create table large as select n, repeat(md5(n::text), 20) as filler from generate_series(1, 40000) n`

/** Dumps into a sink that has taken one piece and takes no more, so that the dump is certainly under way. */
async function stalledDump(source: Cluster, database: string, signal: AbortSignal = never) {
  const { sink, reached, release } = stalledSink()
  const dump = dumpDatabase(addressOf(source), {
    database,
    tools: await installedTools(),
    sink,
    signal,
    lockWaitMs: 5000,
  })
  dump.catch(() => {})
  await within('the first bytes of the dump', Promise.race([reached, dump]))
  return { dump, sink, release }
}

async function sessionsOf(source: Cluster, database: string): Promise<number> {
  const rows = await run(source, 'postgres', `select from pg_stat_activity where datname = '${database}'`)
  return rows.length
}

async function closedPort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  const { promise, resolve } = Promise.withResolvers<void>()
  server.once('listening', resolve)
  await promise
  const address = server.address()
  server.close()
  return typeof address === 'object' && address ? address.port : 1
}

describe('A server that cannot be reached', () => {
  test('says why: password, role, database, port, host, TLS', async ({ source }) => {
    const cases = {
      AUTHENTICATION_FAILED: { password: 'wrong' },
      DATABASE_MISSING: { maintenanceDatabase: 'no such database' },
      SERVER_UNREACHABLE: { port: await closedPort() },
      HOST_UNKNOWN: { host: 'no-such-host.invalid' },
      TLS_UNAVAILABLE: { tlsMode: 'REQUIRE' },
    } as const
    const tools = await installedTools()
    for (const [code, changes] of Object.entries(cases)) {
      const address = addressOf(source, changes)
      expect.soft((await failureOf(inspectServer(address))).code, 'asked').toBe(code)
      const globals = dumpGlobals(address, { tools, sink: memorySink(), signal: never })
      expect.soft((await failureOf(globals)).code, 'by pg_dumpall').toBe(code)
      const run = { tool: 'pg_dump', tools, what: 'Dumping', args: ['--schema-only'], signal: never } as const
      const dump = runServerTool(address, address.maintenanceDatabase, { ...run, sink: memorySink() })
      expect.soft((await failureOf(dump)).code, 'by pg_dump').toBe(code)
    }
  })

  test('is refused before it is dialled when its fields are not what they seem', async ({ source }) => {
    for (const changes of [
      { host: '/var/run/postgresql' },
      { host: '@abstract' },
      { host: 'one,two' },
      { host: '' },
      { port: 0 },
      { username: '' },
      { password: 'two\nlines' },
      { caCertificate: 'not a certificate' },
    ]) {
      expect((await failureOf(inspectServer(addressOf(source, changes)))).code).toBe('ADDRESS_INVALID')
    }
  })

  test('gets passwords whole, whatever they hold', async ({ source }) => {
    for (const [index, password] of [`a:b\\c'd"e f`, '  ', '*:*', '#x', 'pässwörd 🐘', '%41'].entries()) {
      await run(
        source,
        'postgres',
        `create role "p${index}" login superuser password '${password.replaceAll("'", "''")}'`,
      )
      const address = addressOf(source, { username: `p${index}`, password })
      await inspectServer(address)
      await dumpGlobals(address, { tools: await installedTools(), sink: memorySink(), signal: never })
    }
  })
})

describe('A dump that cannot be whole', () => {
  test('fails when a table is locked, within the wait, naming table and holder', async ({ source }) => {
    const database = await createDatabase(source, 'create schema s; create table s."Locked one" (id int)')
    await using holder = connect(source, database)
    await holder.unsafe('begin; lock table s."Locked one" in access exclusive mode')
    const sink = memorySink()
    const startedAt = performance.now()
    const failure = await failureOf(
      dumpDatabase(addressOf(source), {
        database,
        tools: await installedTools(),
        sink,
        signal: never,
        lockWaitMs: 500,
      }),
    )
    expect(failure.code).toBe('TABLE_LOCKED')
    expect(failure.message).toContain('s."Locked one"')
    expect(failure.message).toContain('postgres.js')
    expect(performance.now() - startedAt).toBeLessThan(4000)
    await waitFor('no session of the dump', async () => (await sessionsOf(source, database)) === 1)
  })

  test('is not ended by time limits of its role', async ({ source }) => {
    const database = await createDatabase(source, large)
    await run(
      source,
      'postgres',
      `create role hurried login superuser password 'p';
       alter role hurried set statement_timeout = 1; alter role hurried set lock_timeout = 1;
       alter role hurried set idle_in_transaction_session_timeout = 1; alter role hurried set search_path = 'nowhere';
       alter role hurried set default_transaction_read_only = on; alter role hurried set datestyle = 'SQL, DMY'`,
    )
    const sink = memorySink()
    const address = addressOf(source, { username: 'hurried', password: 'p' })
    const tools = await installedTools()
    const facts = await dumpDatabase(address, { database, tools, sink, signal: never, lockWaitMs: 5000 })
    expect(facts.tables).toMatchObject([{ schema: 'public', name: 'large', rows: 40_000 }])
  })

  test('names a database that was dropped while it was read', async ({ source }) => {
    const database = await createDatabase(source, large)
    const { dump, release } = await stalledDump(source, database)
    await run(source, 'postgres', `drop database "${database}" with (force)`)
    release()
    const failure = await failureOf(within('the end of the dump', dump))
    expect(failure.code).toBe('DATABASE_MISSING')
    expect(await dumpsOf(source)).toEqual([])
  })

  test('fails when the counting session is ended, and stops pg_dump', async ({ source }) => {
    const database = await createDatabase(source, `${large}; create table slow (id int); insert into slow values (1)`)
    const tools = await installedTools()
    await using other = connect(source, 'postgres')
    const { sink } = stalledSink()
    const dump = failureOf(
      dumpDatabase(addressOf(source), {
        database,
        tools,
        sink,
        signal: never,
        lockWaitMs: 5000,
      }),
    )
    await waitFor('a session with a snapshot', async () => {
      const rows = await other`
        select pg_terminate_backend(pid) from pg_stat_activity
        where datname = ${database} and application_name = 'holdfast' and query ~ 'pg_export_snapshot|count\\(' `
      return rows.length > 0
    })
    expect((await within('the end of the dump', dump)).code).toBe('CONNECTION_LOST')
    expect(await dumpsOf(source)).toEqual([])
  })

  test('fails when the server stops under it', async () => {
    await using server = await sourceServer()
    const database = await createDatabase(server, large)
    const { dump, release } = await stalledDump(server, database)
    await server.stop('immediate')
    release()
    expect((await failureOf(within('the end of the dump', dump))).code).toBe('CONNECTION_LOST')
    expect(await dumpsOf(server)).toEqual([])
  })

  test('fails when pg_dump is killed, and never ends its sink', async ({ source }) => {
    const database = await createDatabase(source, large)
    const { dump, sink } = await stalledDump(source, database)
    const [process_] = await dumpsOf(source)
    process.kill(process_?.pid ?? 0, 'SIGKILL')
    const stopped = failureOf(within('the end of the dump', dump))
    sink.on('error', () => {})
    await waitFor('the end of pg_dump', async () => (await dumpsOf(source)).length === 0)
    sink.destroy(new Error('given up'))
    await expect(stopped).rejects.toThrow('given up')
    expect(sink.writableFinished).toBe(false)
  })

  test('says that pg_dump was killed', async ({ source }) => {
    const database = await createDatabase(source, large)
    const { dump, sink, release } = await stalledDump(source, database)
    const [running] = await dumpsOf(source)
    process.kill(running?.pid ?? 0, 'SIGKILL')
    release()
    expect((await failureOf(within('the end of the dump', dump))).code).toBe('TOOL_KILLED')
    expect(sink.destroyed).toBe(true)
    expect(sink.writableFinished).toBe(false)
  })

  test('hands the error of a full sink on as it is, and stops pg_dump', async ({ source }) => {
    const database = await createDatabase(source, large)
    const full = Object.assign(new Error('no space'), { code: 'ENOSPC' })
    const sink = new Writable({ write: (_chunk, _, done) => done(full) })
    const dump = dumpDatabase(addressOf(source), {
      database,
      tools: await installedTools(),
      sink,
      signal: never,
      lockWaitMs: 5000,
    })
    await expect(dump).rejects.toBe(full)
    expect(await dumpsOf(source)).toEqual([])
    await waitFor('no session of the dump', async () => (await sessionsOf(source, database)) === 0)
  })

  test('stops at once when aborted: no process, no session, no wait for a stalled sink', async ({ source }) => {
    const database = await createDatabase(source, large)
    const abort = new AbortController()
    const { dump, sink } = await stalledDump(source, database, abort.signal)
    expect(await dumpsOf(source)).toHaveLength(1)
    const reason = new Error('cancelled by the operator')
    const startedAt = performance.now()
    abort.abort(reason)
    await expect(within('the end of the dump', dump)).rejects.toBe(reason)
    expect(performance.now() - startedAt).toBeLessThan(1000)
    expect(sink.destroyed).toBe(true)
    expect(await dumpsOf(source)).toEqual([])
    await waitFor('no session of the dump', async () => (await sessionsOf(source, database)) === 0)
  })

  test('aborts while it waits for a lock', async ({ source }) => {
    const database = await createDatabase(source, 'create table t (id int)')
    await using holder = connect(source, database)
    await holder.unsafe('begin; lock table t in access exclusive mode')
    const abort = new AbortController()
    const tools = await installedTools()
    const request = { database, tools, sink: memorySink(), signal: abort.signal, lockWaitMs: 60_000 }
    const dump = dumpDatabase(addressOf(source), request)
    dump.catch(() => {})
    await using other = connect(source, 'postgres')
    await waitFor('the dump to wait', async () => {
      return (await other`select from pg_locks where not granted and mode = 'AccessShareLock'`).length > 0
    })
    abort.abort()
    await expect(within('the end of the dump', dump)).rejects.toThrow('aborted')
    await waitFor('no session of the dump', async () => (await sessionsOf(source, database)) === 1)
  })

  test('refuses a server that is newer than the programs', async () => {
    await using server = await sourceServer({ major: 18 })
    const tools = { ...(await installedTools()), canCompressZstd: false }
    const report = await inspectServer(addressOf(server))
    expect(report.versionNumber).toBeGreaterThan(180_000)
    const sink = memorySink()
    const dump = dumpDatabase(addressOf(server), { database: 'postgres', tools, sink, signal: never, lockWaitMs: 5000 })
    expect((await failureOf(dump)).code).toBe('SERVER_TOO_NEW')
    expect(sink.writableFinished).toBe(false)
  })
})

describe('Secrets and orphans', () => {
  test('the password is in no argument, no environment and no file of a running dump', async ({ source }) => {
    const database = await createDatabase(source, large)
    const abort = new AbortController()
    const { dump } = await stalledDump(source, database, abort.signal)
    const [running] = await dumpsOf(source)
    expect(running?.command).toContain('--snapshot')
    expect(running?.command).not.toContain(source.password)
    expect(running?.environment).not.toContain(source.password)
    expect(await processesWith(source.password)).toEqual([])
    abort.abort()
    await dump.catch(() => {})
  })

  test('a dump dies with the process that started it', async ({ source, folder }) => {
    const database = await createDatabase(source, large)
    const script = join(folder, 'dump.ts')
    const engine = fileURLToPath(new URL('../src/engine', import.meta.url))
    const request = JSON.stringify({ address: addressOf(source), database, tools: await installedTools() })
    await writeFile(
      script,
      `import { Writable } from 'node:stream'
       import { dumpDatabase } from '${engine}/dump.ts'
       const { address, database, tools } = ${request}
       const sink = new Writable({ highWaterMark: 1, write() { process.stdout.write('reached') } })
       await dumpDatabase(address, { database, tools, sink, signal: new AbortController().signal, lockWaitMs: 5000 })`,
    )
    const worker: ChildProcess = spawn(process.execPath, [script], { stdio: ['ignore', 'pipe', 'inherit'] })
    const { promise: reached, resolve } = Promise.withResolvers<void>()
    worker.stdout?.once('data', () => resolve())
    await within('the first bytes of the dump', reached)
    expect(await dumpsOf(source)).toHaveLength(1)
    worker.kill('SIGKILL')
    await waitFor('the end of pg_dump', async () => (await dumpsOf(source)).length === 0)
  })
})
