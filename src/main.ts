import { hostname } from 'node:os'
import { type Logger, pino } from 'pino'
import { startDatabaseClock } from './database/clock.ts'
import { connectDatabase, type Database } from './database/connect.ts'
import { takeDataDirectory } from './database/data-directory.ts'
import { startEmbeddedDatabase } from './database/embedded.ts'
import { type Listener, startListener } from './database/listen.ts'
import { migrateDatabase } from './database/migrate.ts'
import { refuseMarkedDirectory } from './database/recovery-mark.ts'
import { databaseTime } from './database/time.ts'
import { type HealthOptions, longestUnseenSeconds } from './graphql/edge/health-routes.ts'
import { startHealthServer, startServer } from './graphql/edge/server.ts'
import { encodeNodeId } from './graphql/schema/ids.ts'
import { countStanding } from './instance/count-standing.ts'
import { findOldestQueuedAt, summariseRecentJobs } from './job/find.ts'
import { startRunner } from './job/run.ts'
import { secondsSinceWorkerSeen } from './job/worker-seen.ts'
import { seedPolicies } from './policy/seed.ts'
import type { SecretBox } from './secret/secret-box.ts'
import { InvalidSetting, readSettings, type Settings } from './settings.ts'
import { startFailure } from './start-failure.ts'
import { openTestClock } from './test-clock.ts'
import { unlockSecrets } from './vault/check-key.ts'
import { allChores } from './worker/clock/chores.ts'
import { startClock } from './worker/clock/clock.ts'
import { tellOverdueChore } from './worker/clock/tell-overdue.ts'
import type { WorkerContext } from './worker/context.ts'
import { type DeliveryOptions, startDeliveries } from './worker/delivery/deliver.ts'
import { handlersOf } from './worker/handlers.ts'
import { sweepScratch } from './worker/verify/scratch-folder.ts'

/** For whoever has to be told why the start failed. */
let hasDatabaseUrl = true
const oldestNode = 24
const repeatMs = 500
const dayMs = 86_400_000

/** Starts what the role asks for, waits to be told to stop, and stops it in the opposite order. */
async function main(): Promise<void> {
  if (Number.parseInt(process.versions.node, 10) < oldestNode) {
    throw new InvalidSetting(
      `Holdfast needs Node ${oldestNode} or newer, and this is ${process.version}: use "npm start".`,
    )
  }
  const settings = readSettings()
  hasDatabaseUrl = settings.databaseUrl !== null
  const log = pino({ level: settings.logLevel, base: { role: settings.role } })
  const stop = untilToldToStop(log)
  await using running = new AsyncDisposableStack()
  await startService(settings, log, running)
  await stop
  log.info('stopping: running jobs are handed back')
}

async function startService(settings: Settings, log: Logger, running: AsyncDisposableStack): Promise<void> {
  running.use(await takeDataDirectory(settings.dataDirectory))
  await refuseMarkedDirectory(settings.dataDirectory)
  const url = await metadataUrl(settings, log, running)
  await migrateDatabase(url, { log })
  const { database } = running.use(connectDatabase(url, { maxConnections: 10 + settings.concurrency }))
  const { now, dueNow, machineNow } = await clockOf(settings, database, { log, running })
  await seedPolicies(database, { now: now() })
  const listener = running.use(await startListener(url, { log }))
  const { secrets, unreadable } = await unlockSecrets(database, { keyFile: settings.keyFile, now: now() })
  for (const what of unreadable) log.warn(`the key file does not open ${what}: give it anew`)
  const shared = { url, database, listener, secrets, now, dueNow, machineNow, log }
  if (settings.role !== 'api') running.use(startWorker(settings, shared))
  if (settings.role !== 'worker') running.use(await startApi(settings, shared))
  if (settings.role === 'api') running.use(startLookout(settings, shared))
  if (settings.role === 'worker' && settings.healthPort !== null) {
    const { host, healthPort: port } = settings
    const server = running.use(await startHealthServer({ host, port, log, ...healthOf(shared) }))
    log.info({ address: `http://${host}:${server.port}/healthz` }, 'health and metrics are listening')
  }
}

/** The service's time is the database's, so that all processes agree: asked for where it decides, kept close elsewhere. */
async function clockOf(
  settings: Settings,
  database: Database,
  { log, running }: { log: Logger; running: AsyncDisposableStack },
): Promise<Pick<Shared, 'now' | 'dueNow' | 'machineNow'>> {
  const { testClockFile } = settings
  if (testClockFile === null) {
    const { now } = running.use(await startDatabaseClock(database))
    return { now, dueNow: (tx = database) => databaseTime(tx), machineNow: () => new Date() }
  }
  const now = openTestClock(testClockFile)
  log.warn({ testClockFile, now: now() }, 'the clock is that of a file, which is for demonstrations and tests alone')
  return { now, dueNow: async () => now(), machineNow: now }
}

async function metadataUrl(settings: Settings, log: Logger, running: AsyncDisposableStack): Promise<string> {
  if (settings.databaseUrl !== null) return settings.databaseUrl
  const embedded = running.use(await startEmbeddedDatabase({ dataDirectory: settings.dataDirectory, log }))
  log.info('the embedded PostgreSQL is running')
  return embedded.url
}

interface Shared {
  /** Of the metadata database; holds its password. */
  url: string
  database: Database
  listener: Listener
  secrets: SecretBox
  now: () => Date
  dueNow: (tx?: Database) => Promise<Date>
  machineNow: () => Date
  log: Logger
}

function contextOf(
  settings: Settings,
  { url, database, secrets, now, dueNow, machineNow, log }: Shared,
): WorkerContext {
  const { postgresDirectories, lockWaitMs, jobCeilingMs, noProgressMs, removalGraceMs } = settings
  const { scratchDirectory, restoreJobs, spoolDirectory } = settings
  const metadata = {
    url,
    keyFile: settings.metadataHasKeyFile ? settings.keyFile : null,
    everyMs: settings.metadataBackupMs,
  }
  return {
    database,
    secrets,
    postgresDirectories,
    lockWaitMs,
    jobCeilingMs,
    noProgressMs,
    now,
    dueNow,
    machineNow,
    removalGraceMs,
    metadata,
    scratchDirectory,
    ...(settings.databaseUrl === null && { embeddedDirectory: settings.dataDirectory }),
    restoreJobs,
    spoolDirectory,
    log,
  }
}

function startWorker(settings: Settings, shared: Shared): AsyncDisposable {
  const { database, listener, log } = shared
  const workerId = `${hostname()}-${process.pid}-${crypto.randomUUID().slice(0, 8)}`
  const { concurrency, leaseMs } = settings
  const context = contextOf(settings, shared)
  const worker = new AsyncDisposableStack()
  sweepScratch(context).catch((err: unknown) => log.warn({ err }, 'what dead workers left could not be swept'))
  const runner = startRunner(database, listener, {
    handlers: handlersOf(context),
    workerId,
    concurrency,
    // One copy at a time into a vault: there is no hurry, and backups are not to wait for them.
    laneLimits: { server: settings.concurrencyPerServer, vault: settings.concurrencyPerVault, verify: 1, copy: 1 },
    aside: { lane: 'verify', places: 1 },
    leaseMs,
    pollMs: 2000,
    log,
  })
  worker.use(runner)
  worker.use(startDeliveries(deliveriesOf(settings, shared)))
  const isSetByHand = settings.testClockFile !== null
  worker.use(startClock(context, { chores: allChores({ isSetByHand }), pollMs: isSetByHand ? 50 : 1000 }))
  log.info({ workerId, concurrency }, 'the worker is running')
  return worker
}

/** What tells operators that nothing is done any more, where the workers that would say so are gone themselves. */
function startLookout(settings: Settings, shared: Shared): AsyncDisposable {
  const lookout = new AsyncDisposableStack()
  // Channels may be reached from the workers' machines alone: as long as there is one, they deliver.
  const isTurn = async () => ((await workerSeenSeconds(shared)) ?? Infinity) > longestUnseenSeconds
  // Mail may be for the workers alone to send: a mail that cannot be sent from here waits for them, and loses no attempt.
  const cannotMail = settings.mailServer === null && { kinds: ['WEBHOOK'] as const }
  lookout.use(startDeliveries({ ...deliveriesOf(settings, shared), isTurn, ...cannotMail }))
  lookout.use(startClock(contextOf(settings, shared), { chores: [tellOverdueChore()] }))
  return lookout
}

function deliveriesOf({ mailServer }: Settings, { database, listener, secrets, now, log }: Shared): DeliveryOptions {
  return { database, listener, secrets, now, log, nodeId: encodeNodeId, mailServer }
}

/** What is told of the service to those who watch it from outside. */
function healthOf(shared: Shared): HealthOptions {
  const { database, now } = shared
  return {
    readiness: async () => {
      await database.execute('select 1')
    },
    workerSeenSeconds: () => workerSeenSeconds(shared),
    collect: async () => {
      const [jobs, oldest, seenSeconds, standing] = await Promise.all([
        summariseRecentJobs(database, new Date(now().getTime() - dayMs)),
        findOldestQueuedAt(database),
        workerSeenSeconds(shared),
        countStanding(database, now()),
      ])
      const oldestQueuedSeconds = oldest === null ? 0 : secondsSince(oldest, now())
      return { jobs, oldestQueuedSeconds, workerSeenSeconds: seenSeconds, ...standing }
    },
  }
}

async function workerSeenSeconds({ database, now }: Shared): Promise<number | null> {
  return secondsSinceWorkerSeen(database, now())
}

function secondsSince(moment: Date, now: Date): number {
  return Math.max(0, (now.getTime() - moment.getTime()) / 1000)
}

async function startApi(settings: Settings, shared: Shared): Promise<AsyncDisposable> {
  const { database, listener, secrets, now, log } = shared
  const server = await startServer({
    services: {
      database,
      listener,
      secrets,
      now,
      removalGraceMs: settings.removalGraceMs,
      retentionLimits: settings.retentionLimits,
      channelRules: { allowHttp: settings.allowHttpWebhooks, canMail: settings.mailServer !== null },
      metadataBackupMs: settings.metadataBackupMs,
    },
    host: settings.host,
    port: settings.port,
    apiToken: settings.apiToken,
    log,
    limits: settings.limits,
    ...healthOf(shared),
  })
  log.info({ address: `http://${settings.host}:${server.port}/graphql` }, 'the API is listening')
  return server
}

/** Resolves at the first signal to stop; a second one ends the process at once. */
function untilToldToStop(log: Logger): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  let firstMs: number | undefined
  const onSignal = (signal: NodeJS.Signals) => {
    firstMs ??= performance.now()
    resolve()
    // npm passes on the Ctrl-C that the terminal has sent to all of its group already: that is still the first one.
    const sinceFirstMs = performance.now() - firstMs
    if (sinceFirstMs < repeatMs) return
    log.warn({ signal }, 'stopping at once')
    process.exit(1)
  }
  process.on('SIGINT', onSignal)
  process.on('SIGTERM', onSignal)
  return promise
}

main().then(
  () => process.exit(0),
  (cause: unknown) => {
    process.stderr.write(`${startFailure(cause, { hasDatabaseUrl })}\n`)
    process.exit(1)
  },
)
