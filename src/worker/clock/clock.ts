import { createAlarm } from '../../database/alarm.ts'
import type { WorkerContext } from '../context.ts'

/** Something that is looked after again and again: cheap when nothing is due, and safe to do on many workers at once. */
export interface Chore {
  name: string
  /** Done again when so much time has gone by, real or by the service's clock, ms. */
  everyMs: number
  /** Does what is due at that moment, a bounded part at a time; what it leaves is there the next time. */
  run(context: WorkerContext, now: Date): Promise<void>
}

export interface ClockOptions {
  chores: readonly Chore[]
  /** How often to ask the time, ms; 1 s when left out. */
  pollMs?: number
  /** A round waits no longer for its chores; one that takes longer goes on by itself, and is not begun again meanwhile. */
  longestRoundMs?: number
  /** A chore that takes longer is named in the log, once, ms; 10 min when left out. */
  longestChoreMs?: number
}

/** The longest pause after the time could not be told, and after a chore failed. Pauses begin with the poll's, and double. */
const longestPauseMs = 10_000
const longestRetryMs = 30_000

interface Duty {
  chore: Chore
  failures: number
  /** By the monotonic clock, and by the service's: when it was begun last. */
  begunMs: number
  begunAt: number
  isOverlong: boolean
  running: Promise<void> | undefined
}

/**
 * Asks what is due until it is disposed of: once a round it takes the time that all workers agree on, and does the chores
 * whose turn has come. One that fails or hangs holds up neither the others nor the clock. Disposing waits for what runs.
 */
export function startClock(
  context: WorkerContext,
  { chores, pollMs = 1_000, longestRoundMs = 10_000, longestChoreMs = 10 * 60_000 }: ClockOptions,
): AsyncDisposable {
  const { log } = context
  const alarm = createAlarm()
  const duties = chores.map(
    (chore): Duty => ({
      chore,
      failures: 0,
      begunMs: -Infinity,
      begunAt: -Infinity,
      isOverlong: false,
      running: undefined,
    }),
  )
  let isClosing = false

  const perform = async (duty: Duty, now: Date) => {
    duty.begunMs = performance.now()
    duty.begunAt = now.getTime()
    duty.isOverlong = false
    try {
      await duty.chore.run(context, now)
      duty.failures = 0
    } catch (cause) {
      duty.failures++
      log.error({ err: cause, chore: duty.chore.name }, 'A chore of the clock failed; it is tried again.')
    }
  }
  const begin = (duty: Duty, now: Date) => {
    duty.running = perform(duty, now).finally(() => {
      duty.running = undefined
    })
  }
  const nameOverlong = () => {
    for (const duty of duties) {
      if (!duty.running || duty.isOverlong || performance.now() - duty.begunMs < longestChoreMs) continue
      duty.isOverlong = true
      log.error({ chore: duty.chore.name }, 'A chore of the clock hangs; it is not begun again before it has ended.')
    }
  }
  const round = async () => {
    nameOverlong()
    const now = await context.dueNow()
    const due = duties.filter((duty) => !duty.running && isDue(duty, { now, pollMs }))
    for (const duty of due) begin(duty, now)
    await withinTime(runningOf(due), longestRoundMs)
  }
  const keepAsking = async () => {
    for (let failures = 0; !isClosing; ) {
      try {
        await round()
        failures = 0
        await alarm.wait(pollMs)
      } catch (cause) {
        log.warn({ err: cause }, 'The database did not tell the time; what is due waits, and it is asked again.')
        await alarm.wait(Math.min(pollMs * 2 ** failures++, longestPauseMs))
      }
    }
  }
  const asking = keepAsking()
  return {
    async [Symbol.asyncDispose]() {
      isClosing = true
      alarm.ring()
      await asking
      await withinTime(runningOf(duties), longestRoundMs)
    },
  }
}

function isDue({ chore, failures, begunMs, begunAt }: Duty, { now, pollMs }: { now: Date; pollMs: number }): boolean {
  const sinceMs = performance.now() - begunMs
  if (failures > 0) return sinceMs >= Math.min(pollMs * 2 ** (failures - 1), longestRetryMs)
  return sinceMs >= chore.everyMs || Math.abs(now.getTime() - begunAt) >= chore.everyMs
}

async function runningOf(duties: readonly Duty[]): Promise<void> {
  await Promise.all(duties.map(({ running }) => running))
}

/** Waits for work that never throws, at most so long. */
async function withinTime(work: Promise<void>, longestMs: number): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  const timer = setTimeout(resolve, longestMs)
  await Promise.race([work, promise]).finally(() => clearTimeout(timer))
}
