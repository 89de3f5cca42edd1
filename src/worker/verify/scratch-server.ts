import { randomBytes } from 'node:crypto'
import { stat, statfs } from 'node:fs/promises'
import { join } from 'node:path'
import { startCluster } from '../../cluster/start.ts'
import type { ServerAddress } from '../../engine/address.ts'
import type { ScratchRoles } from '../../engine/prepare-scratch.ts'
import type { JobRun } from '../../job/handler.ts'
import type { WorkerContext } from '../context.ts'
import { WorkFailed } from '../failure.ts'
import { makeScratchFolder, removeScratch } from './scratch-folder.ts'
import type { ServerPrograms } from './scratch-programs.ts'

/** A server that lives for one attempt at a proof, on loopback, under passwords that nobody else has. */
export interface ScratchServer extends AsyncDisposable {
  /** As its superuser, who never restores. */
  admin: ServerAddress
  roles: ScratchRoles
  /** As one of its roles. */
  as: (role: keyof ScratchRoles) => ServerAddress
  /** Aborts with SCRATCH_SERVER_FAILED when the server ends by itself, and as the run's signal does. */
  signal: AbortSignal
}

/** Nothing outlives the attempt, so nothing is made durable; and it must not take the worker's machine for itself. */
const settings = {
  fsync: 'off',
  full_page_writes: 'off',
  synchronous_commit: 'off',
  wal_level: 'minimal',
  max_wal_senders: '0',
  min_wal_size: '64MB',
  max_wal_size: '256MB',
  shared_buffers: '64MB',
  maintenance_work_mem: '64MB',
  max_connections: '20',
  max_parallel_workers: '0',
  max_parallel_maintenance_workers: '0',
  max_locks_per_transaction: '1024',
  autovacuum: 'off',
  jit: 'off',
}
/** A restored database beside the source's size: indexes are built anew by sorting on disk. */
const growth = 1.5
const baseBytes = 512 * 1024 * 1024

/** Beside it on one device: the embedded metadata database, which stops when it cannot write. */
const reserveBytes = 2 * 1024 * 1024 * 1024

/** What the scratch servers of this process may come to need, each a number of its own. */
const promised = new Set<{ bytes: number }>()

/**
 * Sets room aside for a scratch server that holds so many bytes of the source, beside all others of this process, until it is
 * disposed of. Throws STORAGE_FULL when there is none.
 */
export async function promiseSpace(context: WorkerContext, run: JobRun, sourceBytes: number): Promise<Disposable> {
  const folder = await makeScratchFolder(context, run.job)
  const [{ bavail, bsize }, reserve] = await Promise.all([statfs(folder), reserveOf(context, folder)])
  const own = { bytes: Math.ceil(sourceBytes * growth) + baseBytes }
  const others = [...promised].reduce((sum, { bytes }) => sum + bytes, 0)
  // Nothing may come in between: whoever asks next has to see it.
  if (bavail * bsize >= own.bytes + others + reserve) {
    promised.add(own)
    return { [Symbol.dispose]: () => void promised.delete(own) }
  }
  await removeOwn(context, run, folder)
  const beside = [
    ...(others > 0 ? [`${others} for those that run already`] : []),
    ...(reserve > 0 ? [`${reserve} to be left for the metadata database on the same device`] : []),
  ]
  throw new WorkFailed(
    'STORAGE_FULL',
    `${context.scratchDirectory} has ${bavail * bsize} bytes left; the scratch server needs ${own.bytes}: the size of the largest database and half of it again, and ${baseBytes} for itself${beside.map((each) => `; ${each}`).join('')}. HOLDFAST_SCRATCH_DIR moves it.`,
  )
}

async function reserveOf({ embeddedDirectory }: WorkerContext, folder: string): Promise<number> {
  if (embeddedDirectory === undefined) return 0
  const [scratch, embedded] = await Promise.all([stat(folder), stat(embeddedDirectory)])
  return scratch.dev === embedded.dev ? reserveBytes : 0
}

/** Removes the attempt's own folder. One that stays says nothing of the proof: it is tried again at the next verification. */
async function removeOwn({ log }: WorkerContext, run: JobRun, folder: string): Promise<void> {
  try {
    await removeScratch(folder)
  } catch (cause) {
    log.warn(
      { err: cause, folder },
      'A scratch folder could not be removed; it is tried again at the next verification.',
    )
    run.warn(`The scratch folder ${folder} could not be removed; that is tried again at the next verification.`)
  }
}

/** Starts a scratch server in the attempt's own folder; disposing of it stops it and removes the folder. */
export async function startScratchServer(
  context: WorkerContext,
  run: JobRun,
  { binDir }: ServerPrograms,
): Promise<ScratchServer> {
  const folder = await makeScratchFolder(context, run.job)
  await using started = new AsyncDisposableStack()
  started.defer(() => removeOwn(context, run, folder))
  const token = randomBytes(6).toString('hex')
  const superuser = `holdfast_scratch_${token}`
  const cluster = await startCluster({
    binDir,
    dataDir: join(folder, 'data'),
    superuser,
    password: secret(),
    settings,
    signal: run.signal,
  }).catch((cause: unknown) => {
    run.signal.throwIfAborted()
    throw new WorkFailed('SCRATCH_SERVER_FAILED', cause instanceof Error ? cause.message : String(cause))
  })
  started.defer(() => cluster.stop('immediate'))
  const died = new AbortController()
  void cluster.exited.then(() => died.abort(new WorkFailed('SCRATCH_SERVER_FAILED', 'The server ended by itself.')))
  const roles = {
    restorer: { name: `holdfast_restorer_${token}`, password: secret() },
    reader: { name: `holdfast_reader_${token}`, password: secret() },
  }
  const admin: ServerAddress = {
    host: cluster.host,
    port: cluster.port,
    username: superuser,
    password: cluster.password,
    maintenanceDatabase: 'postgres',
    tlsMode: 'DISABLE',
    caCertificate: null,
  }
  const running = started.move()
  return {
    admin,
    roles,
    as: (role) => ({ ...admin, username: roles[role].name, password: roles[role].password }),
    signal: AbortSignal.any([run.signal, died.signal]),
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  }
}

function secret(): string {
  return randomBytes(24).toString('base64url')
}
