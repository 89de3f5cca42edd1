import { execFile, spawn } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { chmod, mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import postgres from 'postgres'
import { describe, expect, onTestFinished, vi } from 'vitest'
import { launchAs } from '../src/cluster/account.ts'
import { embeddedBinaries } from '../src/cluster/binaries.ts'
import { initialiseCluster } from '../src/cluster/initialise.ts'
import { type Cluster, startCluster } from '../src/cluster/start.ts'
import { hold } from './kit/hold.ts'
import { clusterTemplate, password, superuser } from './kit/postgres-programs.ts'
import { test } from './kit/test.ts'
import { waitFor, within } from './kit/wait-for.ts'

const run = promisify(execFile)
const isRoot = process.getuid?.() === 0

async function optionsFor(folder: string) {
  const binDir = await embeddedBinaries()
  const template = await clusterTemplate(binDir)
  return { binDir, dataDir: join(folder, 'data'), template, superuser, password, settings: { fsync: 'off' } }
}

async function ask(cluster: Cluster, statement: string) {
  const sql = postgres(cluster.url('postgres'), { max: 1, onnotice: () => {} })
  try {
    return await sql.unsafe(statement)
  } finally {
    await sql.end()
  }
}

async function isRunning(pid: number): Promise<boolean> {
  const status = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '')
  return status !== '' && !status.includes(') Z ')
}

test('a new server keeps UTF-8 with checksums and lets nobody in without the password', async ({ folder }) => {
  const { template: _, ...options } = await optionsFor(folder)
  await mkdir(`${options.dataDir}.partial`)
  await writeFile(join(`${options.dataDir}.partial`, 'PG_VERSION'), 'left by an initdb that was killed')
  await using cluster = await startCluster(options)
  const [facts] = await ask(
    cluster,
    `select current_setting('server_encoding') as encoding, current_setting('data_checksums') as checksums, lower('ÄÖ')`,
  )
  expect(facts).toEqual({ encoding: 'UTF8', checksums: 'on', lower: 'äö' })
  await expect(
    ask({ ...cluster, url: () => cluster.url('postgres').replace(/:[^:@]+@/, ':wrong@') }, 'select 1'),
  ).rejects.toThrow('password authentication failed')
  expect((await readdir(tmpdir())).filter((name) => name.includes(`PGSQL.${cluster.port}`))).toEqual([])
})

test('the password lies where the next start removes it, while a new server is made', async ({ folder }) => {
  const { template: _, ...options } = await optionsFor(folder)
  // Other tests that run meanwhile make folders in the usual one.
  const temporary = join(folder, 'temporary')
  await mkdir(temporary)
  vi.stubEnv('TMPDIR', temporary)
  onTestFinished(() => void vi.unstubAllEnvs())
  expect(tmpdir()).toBe(temporary)
  const password = join(`${options.dataDir}.partial`, 'password')
  const made = initialiseCluster(options)
  expect(await waitFor('the password to be written', () => readFile(password, 'utf8').catch(() => ''))).toBe(
    `${options.password}\n`,
  )
  expect(await readdir(temporary)).toEqual([])
  await made
  expect((await readdir(folder)).sort()).toEqual(['data', 'temporary'])
})

test.runIf(isRoot)(
  'root runs a server as an unprivileged user, with at most the capability of reaching its folder',
  async ({ folder }) => {
    await using cluster = await startCluster(await optionsFor(folder))
    const status = await readFile(`/proc/${cluster.pid}/status`, 'utf8')
    expect(status).not.toMatch(/^Uid:.*\b0\b/m)
    expect(status).toMatch(/^CapEff:\s+0+[024]$/m)
  },
)

test.runIf(isRoot)('root runs a server below a folder that only root may enter', async ({ folder }) => {
  const closed = join(folder, 'closed')
  await mkdir(closed)
  await chmod(closed, 0o700)
  await using cluster = await startCluster(await optionsFor(closed))
  expect(await ask(cluster, 'select 1 as one')).toEqual([{ one: 1 }])
})

test('a setting that PostgreSQL refuses is named in the error', async ({ folder }) => {
  const options = await optionsFor(folder)
  await expect(startCluster({ ...options, settings: { nonsense: '1' } })).rejects.toThrow(
    'unrecognized configuration parameter "nonsense"',
  )
})

test('a folder that holds something else is left alone', async ({ folder }) => {
  const options = await optionsFor(folder)
  await mkdir(options.dataDir)
  await writeFile(join(options.dataDir, 'notes.txt'), 'mine')
  await chmod(options.dataDir, 0o755)
  const before = await stat(options.dataDir)
  await expect(startCluster(options)).rejects.toThrow('holds no PostgreSQL data')
  const { mode, uid } = await stat(options.dataDir)
  expect({ mode, uid }).toEqual({ mode: before.mode, uid: before.uid })
  expect(await readFile(join(options.dataDir, 'notes.txt'), 'utf8')).toBe('mine')
})

test('a server that is killed tells of it, and starts again with its data', async ({ folder }) => {
  const options = await optionsFor(folder)
  const cluster = await startCluster(options)
  await ask(cluster, 'create table kept as select 7 as number')
  process.kill(cluster.pid, 'SIGKILL')
  await within('the server to be reported as gone', cluster.exited)
  await using again = await startCluster(options)
  expect(await ask(again, 'select number from kept')).toEqual([{ number: 7 }])
})

test('a server that recovers for long is waited for, and told of', async ({ folder }) => {
  const options = await optionsFor(folder)
  await (await startCluster(options)).stop()
  const gate = join(folder, 'gate')
  await writeFile(join(options.dataDir, 'recovery.signal'), '')
  await chmod(join(options.dataDir, 'recovery.signal'), 0o666)
  const restoreCommand = `until test -e ${gate}; do sleep 0.05; done; false`
  let told = 0
  await using cluster = await startCluster({
    ...options,
    settings: { ...options.settings, restore_command: restoreCommand },
    // Within it the program has to have begun its recovery.
    patienceMs: 3_000,
    onSlowRecovery: () => {
      told++
      writeFileSync(gate, '')
    },
  })
  expect(told).toBe(1)
  expect(await ask(cluster, 'select 1 as one')).toEqual([{ one: 1 }])
})

test('giving up a start leaves no server behind', async ({ folder }) => {
  const options = await optionsFor(folder)
  await expect(startCluster({ ...options, signal: AbortSignal.abort() })).rejects.toThrow()
  await using cluster = await startCluster(options)
  expect(cluster.port).toBeGreaterThan(0)
})

describe.runIf(process.platform === 'linux')('after a crash of ours', () => {
  test('a server ends with the process that started it', async ({ folder }) => {
    const options = await optionsFor(folder)
    const holder = await hold(`
      import { startCluster } from './cluster/start.ts'
      const cluster = await startCluster(${JSON.stringify(options)})
      console.log(cluster.pid)
      setInterval(() => {}, 1000)`)
    const pid = Number(holder.said)
    expect(await isRunning(pid)).toBe(true)
    await holder.kill()
    await waitFor('the server to end', async () => !(await isRunning(pid)))
  })

  test('a server that outlived its parent is stopped, and its directory started anew', async ({ folder }) => {
    const options = await optionsFor(folder)
    const account = await initialiseCluster(options)
    const { command, args, identity } = launchAs(account, join(options.binDir, 'postgres'), [
      ...['-D', options.dataDir, '-k', options.dataDir, '-c', 'listen_addresses='],
    ])
    const orphan = spawn(command, args, { ...identity, detached: true, stdio: 'ignore', env: { LC_ALL: 'C' } })
    try {
      await waitFor('the orphan to be ready', async () =>
        (await readFile(join(options.dataDir, 'postmaster.pid'), 'utf8').catch(() => '')).includes('ready'),
      )
      await using cluster = await startCluster(options)
      expect(orphan.exitCode ?? orphan.signalCode).not.toBeNull()
      expect(await ask(cluster, 'select 1 as one')).toEqual([{ one: 1 }])
    } finally {
      orphan.kill('SIGKILL')
    }
  })

  test.runIf(isRoot)('it is stopped as well by a root that may not see where it works', async ({ folder }) => {
    const options = await optionsFor(folder)
    const { command, args, identity } = launchAs(await initialiseCluster(options), join(options.binDir, 'postgres'), [
      ...['-D', options.dataDir, '-k', options.dataDir, '-c', 'listen_addresses='],
    ])
    const orphan = spawn(command, args, { ...identity, detached: true, stdio: 'ignore', env: { LC_ALL: 'C' } })
    try {
      await waitFor('the orphan to be ready', async () =>
        (await readFile(join(options.dataDir, 'postmaster.pid'), 'utf8').catch(() => '')).includes('ready'),
      )
      const takingOver = `
        import { takeOver } from ${JSON.stringify(join(import.meta.dirname, '../src/cluster/take-over.ts'))}
        await takeOver(${JSON.stringify(options.dataDir)})`
      // As Docker starts root.
      const withoutTracing = ['--bounding-set=-sys_ptrace', '--inh-caps=-sys_ptrace', '--', process.execPath]
      await run('setpriv', [...withoutTracing, '--input-type=module', '--eval', takingOver])
      expect(orphan.exitCode ?? orphan.signalCode ?? (await isRunning(orphan.pid ?? 0))).not.toBe(true)
    } finally {
      orphan.kill('SIGKILL')
    }
  })

  test('a process that has been given the number of the old server is left alone', async ({ folder }) => {
    const options = await optionsFor(folder)
    const account = await initialiseCluster(options)
    const { command, args, identity } = launchAs(account, 'sleep', ['600'])
    const stranger = spawn(command, args, { ...identity, stdio: 'ignore' })
    await writeFile(
      join(options.dataDir, 'postmaster.pid'),
      `${stranger.pid}\n${options.dataDir}\n1\n5432\n\n\n\nready\n`,
    )
    try {
      await using cluster = await startCluster(options)
      expect(cluster.pid).not.toBe(stranger.pid)
      expect(stranger.exitCode ?? stranger.signalCode).toBeNull()
    } finally {
      stranger.kill('SIGKILL')
    }
  })
})
