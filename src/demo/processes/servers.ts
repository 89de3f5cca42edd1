import { randomUUID } from 'node:crypto'
import { access, mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type Cluster, startCluster } from '../../cluster/start.ts'
import { takeOver } from '../../cluster/take-over.ts'
import { withConnection } from '../connect.ts'
import type { Folder } from '../folder.ts'
import { size } from '../format.ts'
import { fillSampleServer } from '../sample/fill.ts'
import type { Terminal } from '../terminal.ts'
import type { Programs } from './programs.ts'

const superuser = 'postgres'

interface Making {
  folder: Folder
  programs: Programs
  terminal: Terminal
  signal: AbortSignal
}

/** Starts the sample server, filled with data: those of an earlier run where they are whole and of the size wanted. */
export async function startSampleServer(making: Making & { options: { megabytes: number } }): Promise<Cluster> {
  const { folder, programs, terminal, signal, options } = making
  return terminal.step(`Start a sample PostgreSQL ${programs.version} server`, async (step) => {
    const home = folder.sampleServer
    const filled = join(home, 'filled.json')
    const wanted = JSON.stringify({ major: Number.parseInt(programs.version, 10), megabytes: options.megabytes })
    const isReused = (await readFile(filled, 'utf8').catch(() => '')) === wanted
    if (!isReused) await discard(home)
    const server = await start(home, { programs, signal, settings: sampleSettings })
    try {
      if (!isReused) {
        await fillSampleServer(server, { megabytes: options.megabytes, signal })
        await writeFile(filled, wanted)
      }
      const { databases, sizeBytes } = await sizeOf(server, signal)
      const origin = isReused ? 'kept from an earlier run' : 'made just now'
      step.detail(`${databases} databases, ${size(sizeBytes)} on disk, ${origin}`)
      return server
    } catch (cause) {
      await server.stop('immediate')
      throw cause
    }
  })
}

/** Starts another server of the same version, with nothing in it. */
export async function startEmptyServer(
  { folder, programs, terminal, signal }: Making,
  title = 'Start a second server, empty',
): Promise<Cluster> {
  return terminal.step(title, async () => {
    await discard(folder.secondServer)
    return start(folder.secondServer, { programs, signal, settings: {} })
  })
}

// These data can be made again at any time, so filling them needs no care for a power cut.
const sampleSettings = {
  fsync: 'off',
  full_page_writes: 'off',
  wal_level: 'minimal',
  max_wal_senders: '0',
  max_wal_size: '2GB',
}

async function start(
  home: string,
  { programs, settings, signal }: { programs: Programs; settings: Record<string, string>; signal: AbortSignal },
): Promise<Cluster> {
  await mkdir(home, { recursive: true })
  const password = await passwordIn(home)
  return startCluster({
    binDir: programs.binDir,
    dataDir: dataIn(home),
    logFile: join(home, 'server.log'),
    superuser,
    password,
    settings,
    signal,
  })
}

/** Removes a server with its data; one that a killed demo left running is stopped first. */
async function discard(home: string): Promise<void> {
  const isThere = await access(dataIn(home)).then(
    () => true,
    () => false,
  )
  if (isThere) await takeOver(dataIn(home))
  await rm(home, { recursive: true, force: true, maxRetries: 5 })
}

function dataIn(home: string): string {
  return join(home, 'data')
}

/** The superuser's password, made up when the server is made: others on this machine can reach its port as well. */
async function passwordIn(home: string): Promise<string> {
  const file = join(home, 'password')
  const kept = await readFile(file, 'utf8').catch(() => '')
  if (kept !== '') return kept
  const password = randomUUID()
  await writeFile(file, password, { mode: 0o600 })
  return password
}

async function sizeOf(server: Cluster, signal: AbortSignal): Promise<{ databases: number; sizeBytes: number }> {
  return withConnection(server, { database: 'postgres', signal }, async (sql) => {
    const [found] = await sql<{ databases: number; sizeBytes: number }[]>`
      select count(*)::int as databases, sum(pg_database_size(oid))::float as "sizeBytes"
      from pg_database where not datistemplate and datname <> 'postgres'`
    return found ?? { databases: 0, sizeBytes: 0 }
  })
}
