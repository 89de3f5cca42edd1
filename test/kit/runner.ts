import { type Logger, pino } from 'pino'
import { connectDatabase, type Database } from '../../src/database/connect.ts'
import { type Listener, startListener } from '../../src/database/listen.ts'
import type { JobError } from '../../src/database/tables/job.ts'
import { enqueueJob, type NewJob } from '../../src/job/enqueue.ts'
import { findJobs, type Job } from '../../src/job/find.ts'
import { type Handler, type JobRun, type Outcome, RunStopped } from '../../src/job/handler.ts'
import { type Runner, type RunnerOptions, startRunner } from '../../src/job/run.ts'
import { watchJob } from '../../src/job/watch.ts'
import { within } from './wait-for.ts'

export const completed: Outcome = { kind: 'completed' }

/** A failure as a handler tells it; its details are the text of what was thrown. */
export function errorSaying(code: string, { isRetryable = false, details = '' } = {}): JobError {
  return { code, message: `It failed: ${code}.`, recommendedActions: [], isUserError: false, isRetryable, details }
}

/** A handler that does this; a throw fails the job for good unless its text says "again". */
export function handlerThat(
  perform: (run: JobRun) => Promise<Outcome>,
  rest: Partial<Omit<Handler, 'perform'>> = {},
): Handler {
  return {
    perform,
    failure: (cause) => {
      const code = cause instanceof RunStopped ? cause.reason : 'THROWN'
      const details = cause instanceof Error ? cause.message : String(cause)
      return errorSaying(code, { isRetryable: details.includes('again'), details })
    },
    ceilingMs: 60_000,
    stallMs: 60_000,
    ...rest,
  }
}

/** Resolves when the run's signal fires, with its reason. */
export async function stopped({ signal }: Pick<JobRun, 'signal'>): Promise<RunStopped> {
  if (!signal.aborted) await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }))
  if (signal.reason instanceof RunStopped) return signal.reason
  throw new Error('The signal fired without a reason of the runner.')
}

/** A log that keeps what was said in it, one line of JSON each. */
export function rememberingLog(): Logger & { said: string[] } {
  const said: string[] = []
  const log = pino({ level: 'debug' }, { write: (line) => void said.push(line) })
  return Object.assign(log, { said })
}

export interface TestRunner extends AsyncDisposable {
  database: Database
  listener: Listener
  runner: Runner
  workerId: string
}

/** A worker with a pool and a listener of its own, that performs every job as a backup; stopped when disposed of. */
export async function testRunner(
  url: string,
  handler: Handler,
  options: Partial<Omit<RunnerOptions, 'handlers'>> = {},
): Promise<TestRunner> {
  const { database, ...connection } = connectDatabase(url)
  const listener = await startListener(url)
  const workerId = options.workerId ?? `worker-${crypto.randomUUID()}`
  const runner = startRunner(database, listener, {
    handlers: { BACKUP: handler },
    concurrency: 4,
    laneLimits: {},
    graceMs: 5_000,
    log: pino({ level: 'silent' }),
    ...options,
    workerId,
  })
  return {
    database,
    listener,
    runner,
    workerId,
    async [Symbol.asyncDispose]() {
      await runner[Symbol.asyncDispose]()
      await listener[Symbol.asyncDispose]()
      await connection[Symbol.asyncDispose]()
    },
  }
}

/** Adds a backup job by itself. */
export async function enqueue(database: Database, job: Partial<NewJob> = {}): Promise<Job> {
  return database.transaction((tx) =>
    enqueueJob(tx, {
      operation: 'BACKUP',
      trigger: 'USER',
      input: {},
      subject: {},
      actor: 'tester',
      now: new Date(),
      ...job,
    }),
  )
}

export async function jobOf(database: Database, id: string): Promise<Job> {
  const job = (await findJobs(database, [id])).get(id)
  if (!job) throw new Error(`There is no job ${id}.`)
  return job
}

/** The job as it ended. */
export async function ended(
  { database, listener }: Pick<TestRunner, 'database' | 'listener'>,
  jobId: string,
  { withinMs = 20_000 }: { withinMs?: number } = {},
): Promise<Job> {
  const states = watchJob(database, listener, jobId)
  const last = async () => {
    let job: Job | undefined
    for await (const state of states) job = state
    if (!job) throw new Error(`There is no job ${jobId}.`)
    return job
  }
  return within('the job ends', last(), { withinMs }).finally(() => states.return?.())
}
