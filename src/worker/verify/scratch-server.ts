import { randomBytes } from 'node:crypto'
import { statfs } from 'node:fs/promises'
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

/** Throws STORAGE_FULL unless there is room for a scratch server that holds so many bytes of the source. */
export async function refuseScarceSpace(context: WorkerContext, run: JobRun, sourceBytes: number): Promise<void> {
  const folder = await makeScratchFolder(context, run.job)
  const { bavail, bsize } = await statfs(folder)
  const needed = Math.ceil(sourceBytes * growth) + baseBytes
  if (bavail * bsize >= needed) return
  await removeScratch(folder)
  throw new WorkFailed(
    'STORAGE_FULL',
    `${context.scratchDirectory} has ${bavail * bsize} bytes left; the scratch server needs ${needed}: the size of the largest database and half of it again, and ${baseBytes} for itself. HOLDFAST_SCRATCH_DIR moves it.`,
  )
}

/** Starts a scratch server in the attempt's own folder; disposing of it stops it and removes the folder. */
export async function startScratchServer(
  context: WorkerContext,
  run: JobRun,
  { binDir }: ServerPrograms,
): Promise<ScratchServer> {
  const folder = await makeScratchFolder(context, run.job)
  await using started = new AsyncDisposableStack()
  started.defer(() => removeScratch(folder))
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
