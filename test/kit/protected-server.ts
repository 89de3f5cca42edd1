import { join } from 'node:path'
import { eq } from 'drizzle-orm'
import { pino } from 'pino'
import postgres from 'postgres'
import type { Cluster } from '../../src/cluster/start.ts'
import { connectDatabase, type Database } from '../../src/database/connect.ts'
import { startListener } from '../../src/database/listen.ts'
import { jobs } from '../../src/database/tables/job.ts'
import { databaseTime } from '../../src/database/time.ts'
import { configureProtection } from '../../src/instance/configure-protection.ts'
import type { BackupInstance } from '../../src/instance/instance.ts'
import { findJobs } from '../../src/job/find.ts'
import { startRunner } from '../../src/job/run.ts'
import { isEnded, type JobRow } from '../../src/job/states.ts'
import { seedPolicies } from '../../src/policy/seed.ts'
import { openSecretBox, type SecretBox } from '../../src/secret/secret-box.ts'
import { registerServer } from '../../src/server/register.ts'
import type { PostgresServer } from '../../src/server/server.ts'
import { createVault } from '../../src/vault/create.ts'
import type { Vault } from '../../src/vault/vault.ts'
import { allChores } from '../../src/worker/clock/chores.ts'
import { startClock } from '../../src/worker/clock/clock.ts'
import type { WorkerContext } from '../../src/worker/context.ts'
import { handlersOf } from '../../src/worker/handlers.ts'
import { waitFor } from './wait-for.ts'

export const actor = 'test'

/** Holdfast without its API: a metadata database, the secrets and one worker that performs every kind of job. */
export interface Service extends AsyncDisposable {
  database: Database
  secrets: SecretBox
  context: WorkerContext
  /** Everything the worker has logged, one JSON text a line. */
  logged: () => string
  /** Waits for a job's end, whatever it is. */
  ended: (jobId: string, options?: { withinMs?: number }) => Promise<JobRow>
}

export interface ServiceOptions
  extends Partial<
    Pick<WorkerContext, 'lockWaitMs' | 'jobCeilingMs' | 'noProgressMs' | 'restoreJobs' | 'spoolDirectory'>
  > {
  leaseMs?: number
  /** Whether copies of the metadata hold the key file; they do unless told otherwise. */
  copiesKeyFile?: boolean
  /** How long a handler without a grace of its own may go on after the signal, ms. */
  graceMs?: number
  /** Whether the clock runs, which starts what is due; it does not unless asked for. */
  clock?: boolean
  /** What the service takes for the present, also to decide what is due; real time when left out. */
  now?: () => Date
}

/** Starts a service on a migrated database, with its key file in a folder. */
export async function startService(
  { databaseUrl, folder }: { databaseUrl: string; folder: string },
  limits: ServiceOptions = {},
): Promise<Service> {
  const connection = connectDatabase(databaseUrl)
  const { database } = connection
  const lines: string[] = []
  const log = pino({ level: 'debug' }, { write: (line: string) => lines.push(line) })
  const secrets = await openSecretBox(join(folder, 'secret.key'))
  await seedPolicies(database, { now: new Date() })
  const listener = await startListener(databaseUrl, { log })
  const context: WorkerContext = {
    database,
    secrets,
    postgresDirectories: [],
    lockWaitMs: limits.lockWaitMs ?? 10_000,
    jobCeilingMs: limits.jobCeilingMs ?? 300_000,
    noProgressMs: limits.noProgressMs ?? 60_000,
    now: limits.now ?? (() => new Date()),
    dueNow: async (tx = database) => limits.now?.() ?? (await databaseTime(tx)),
    machineNow: limits.now ?? (() => new Date()),
    removalGraceMs: 0,
    metadata: {
      url: databaseUrl,
      keyFile: limits.copiesKeyFile === false ? null : join(folder, 'secret.key'),
      everyMs: 24 * 3_600_000,
    },
    scratchDirectory: join(folder, 'scratch'),
    restoreJobs: limits.restoreJobs ?? 2,
    spoolDirectory: limits.spoolDirectory ?? join(folder, 'spool'),
    log,
  }
  const runner = await startRunner(database, listener, {
    handlers: handlersOf(context),
    workerId: `worker-${crypto.randomUUID()}`,
    concurrency: 2,
    laneLimits: { server: 2, vault: 4, verify: 1, copy: 1 },
    aside: { lane: 'verify', places: 1 },
    leaseMs: limits.leaseMs ?? 15_000,
    pollMs: 1000,
    ...(limits.graceMs !== undefined && { graceMs: limits.graceMs }),
    log,
  })
  const clock = limits.clock
    ? startClock(context, { chores: allChores({ isSetByHand: limits.now !== undefined }), pollMs: 50 })
    : undefined
  return {
    database,
    secrets,
    context,
    logged: () => lines.join(''),
    ended: (jobId, options) => endOf(database, jobId, options),
    async [Symbol.asyncDispose]() {
      await clock?.[Symbol.asyncDispose]()
      await runner[Symbol.asyncDispose]()
      await listener[Symbol.asyncDispose]()
      await connection[Symbol.asyncDispose]()
    },
  }
}

/** Waits for a job's end, whatever it is. */
export async function endOf(database: Database, jobId: string, { withinMs = 25_000 } = {}): Promise<JobRow> {
  return waitFor(
    `the end of job ${jobId}`,
    async () => {
      const job = (await findJobs(database, [jobId])).get(jobId)
      return job && isEnded(job.status) ? job : undefined
    },
    { withinMs },
  )
}

/** Waits until an attempt has failed and the next one is put off; answers the job as it then is. */
export async function firstFailure(database: Database, jobId: string): Promise<JobRow> {
  return waitFor(
    'a first failed attempt',
    async () => {
      const job = (await findJobs(database, [jobId])).get(jobId)
      return job?.error ? job : undefined
    },
    { withinMs: 25_000 },
  )
}

/** Moves a job that waits for its next attempt to now. */
export async function tryAgainNow(database: Database, jobId: string): Promise<void> {
  await database.update(jobs).set({ runAt: new Date() }).where(eq(jobs.id, jobId))
  await database.execute("select pg_notify('holdfast_job_queue', '')")
}

/** Registers a cluster of a test, as its superuser unless another role is given. */
export async function register(
  { database, secrets }: Pick<Service, 'database' | 'secrets'>,
  cluster: Pick<Cluster, 'host' | 'port' | 'superuser' | 'password'>,
  changes: Partial<{ name: string; host: string; port: number; username: string; password: string }> = {},
): Promise<PostgresServer> {
  return registerServer(database, {
    name: `server ${crypto.randomUUID()}`,
    host: cluster.host,
    port: cluster.port,
    username: cluster.superuser,
    password: cluster.password,
    maintenanceDatabase: 'postgres',
    tlsMode: 'DISABLE',
    caCertificate: null,
    secrets,
    actor,
    now: new Date(),
    ...changes,
  })
}

/** A vault in a new directory below a folder. */
export async function addVault(
  { database, secrets }: Pick<Service, 'database' | 'secrets'>,
  folder: string,
): Promise<Vault> {
  return createVault(database, {
    name: `vault ${crypto.randomUUID()}`,
    location: { kind: 'DIRECTORY', path: join(folder, 'vault') },
    secrets,
    actor,
    now: new Date(),
  })
}

/** The directory of a vault that is in one. */
export function pathOf({ location }: Vault): string {
  if (location.kind !== 'DIRECTORY') throw new Error('The vault is in no directory.')
  return location.path
}

export interface Protected {
  server: PostgresServer
  vault: Vault
  vaultPath: string
  instance: BackupInstance
}

/** Registers a server and protects it in a new vault; throws what the configuration job said when it fails. */
export async function protect(service: Service, cluster: Cluster, folder: string): Promise<Protected> {
  const server = await register(service, cluster)
  const vault = await addVault(service, folder)
  const { instance, job } = await configureProtection(service.database, {
    serverId: server.id,
    vaultId: vault.id,
    policyId: null,
    name: null,
    actor,
    now: new Date(),
  })
  const ended = await service.ended(job.id)
  if (ended.status !== 'COMPLETED') throw new Error(JSON.stringify(ended.error))
  return { server, vault, vaultPath: pathOf(vault), instance }
}

/** Runs statements on a server's database, one after the other. */
export async function runSql(cluster: Cluster, databaseName: string, ...statements: string[]): Promise<void> {
  const sql = postgres(cluster.url(databaseName), { max: 1, onnotice: () => {} })
  try {
    for (const statement of statements) await sql.unsafe(statement)
  } finally {
    await sql.end()
  }
}
