import type { Logger } from 'pino'
import { createAlarm } from '../database/alarm.ts'
import type { Database } from '../database/connect.ts'
import type { Listener } from '../database/listen.ts'
import { jobOperation } from '../database/tables/job.ts'
import { cancelChannel, queueChannel } from './change.ts'
import type { Handlers } from './handler.ts'
import { keepLeases } from './lease/keep.ts'
import { rescueLapsed } from './lease/rescue.ts'
import { type Claim, claimJobs, isInLane } from './runner/claim.ts'
import { type Performance, startPerforming } from './runner/perform.ts'

export interface RunnerOptions {
  /** What this worker performs, and how. */
  handlers: Handlers
  /** Names this runner among all that ever run on the database. */
  workerId: string
  /** How many jobs it runs at once. */
  concurrency: number
  /** How many jobs may run at once, on all workers together, in a lane of the given name. */
  laneLimits: Readonly<Record<string, number>>
  /**
   * Jobs in a lane of this name have places of their own on the worker, beside its concurrency: they never take the place of
   * another job, however long they are at it.
   */
  aside?: { lane: string; places: number }
  /** How long a job stays this worker's without a sign of life, ms; 15 s when left out. */
  leaseMs?: number
  /** How often to look for jobs and for lost workers without being told, ms; 2 s when left out, and never more. */
  pollMs?: number
  /** How long a handler may go on after it was told to stop, ms; 10 s when left out. */
  graceMs?: number
  log: Logger
}

export interface Runner extends AsyncDisposable {
  /** How many jobs it runs now. */
  readonly running: number
}

/** Within this time after a lease has run out its job is taken over, whatever the settings. */
const longestPollMs = 2_000
/** A look at the database that takes longer is left to itself, and another one begins. */
const longestLookMs = 10_000

/**
 * Claims and performs jobs until it is disposed of, through outages of the database; takes over those of lost workers.
 * Disposing stops claiming, hands running jobs back and waits until they have stopped.
 */
export function startRunner(database: Database, listener: Listener, options: RunnerOptions): Runner {
  const { handlers, workerId, concurrency, laneLimits, aside, log, leaseMs = 15_000, graceMs = 10_000 } = options
  const pollMs = Math.min(options.pollMs ?? longestPollMs, longestPollMs)
  const operations = jobOperation.enumValues.filter((operation) => handlers[operation])
  const running = new Map<string, Performance>()
  const runningAside = new Set<string>()
  const alarm = createAlarm()
  const leases = keepLeases(database, running, { leaseMs, log })
  let isClosing = false
  let rescueDueAt = 0

  const start = (claim: Claim) => {
    const handler = handlers[claim.job.operation]
    if (!handler) throw new Error(`Nothing here performs ${claim.job.operation}.`)
    const key = `${claim.job.id}.${claim.job.attempt}`
    const run = startPerforming({ database, log, graceMs }, claim, handler)
    running.set(key, run)
    if (aside && isInLane(claim.job, aside.lane)) runningAside.add(key)
    if (isClosing) run.stop('SHUTDOWN')
    void run.done.then(() => {
      running.delete(key)
      runningAside.delete(key)
      alarm.ring()
    })
  }
  const look = async () => {
    if (performance.now() >= rescueDueAt) {
      rescueDueAt = performance.now() + pollMs
      for (const job of await rescueLapsed(database))
        log.warn({ jobId: job.id }, 'A job of a lost worker was taken over.')
    }
    const request = {
      workerId,
      operations,
      room: concurrency - (running.size - runningAside.size),
      aside: aside && { lane: aside.lane, room: aside.places - runningAside.size },
      laneLimits,
      leaseMs,
    }
    for (const claim of await claimJobs(database, request)) start(claim)
  }
  const keepLooking = async () => {
    for (let failures = 0; !isClosing; ) {
      try {
        await withinTime(look(), longestLookMs)
        failures = 0
        await alarm.wait(pollMs)
      } catch (cause) {
        log.warn({ err: cause }, 'The database could not be asked for jobs; it is tried again.')
        await alarm.wait(Math.min(50 * 2 ** failures++, pollMs))
      }
    }
  }
  const unsubscribe = [listener.subscribe(queueChannel, alarm.ring), listener.subscribe(cancelChannel, leases.renew)]
  const looking = keepLooking()
  return {
    get running() {
      return running.size
    },
    async [Symbol.asyncDispose]() {
      isClosing = true
      alarm.ring()
      for (const leave of unsubscribe) leave()
      for (const run of running.values()) run.stop('SHUTDOWN')
      await looking
      await Promise.all([...running.values()].map((run) => run.done))
      leases.stop()
    },
  }
}

/** The work's own outcome, or an error when it takes too long; the work then goes on by itself. */
async function withinTime(work: Promise<void>, longestMs: number): Promise<void> {
  const { promise: tooLong, reject } = Promise.withResolvers<never>()
  const timer = setTimeout(() => reject(new Error(`It took more than ${longestMs} ms.`)), longestMs)
  await Promise.race([work, tooLong]).finally(() => clearTimeout(timer))
}
