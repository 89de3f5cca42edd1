import type { Database } from './connect.ts'
import { databaseTime } from './time.ts'

export interface DatabaseClockOptions {
  /** How often the difference is measured, ms; each minute when left out. */
  everyMs?: number
  /** The clock of this machine. */
  machineNow?: () => Date
}

/** The database's time without asking for it. */
export interface DatabaseClock extends Disposable {
  now: () => Date
  /** Measures the difference at once; throws, and keeps the last one, when the database does not tell its time. */
  measure: () => Promise<void>
}

/**
 * Keeps the time of this process to the database's: the difference of the two clocks is measured before this resolves, and
 * every minute from then on. While it cannot be measured the last one holds; at the start that is an error.
 */
export async function startDatabaseClock(
  database: Database,
  { everyMs = 60_000, machineNow = () => new Date() }: DatabaseClockOptions = {},
): Promise<DatabaseClock> {
  let offsetMs = 0
  const measure = async () => {
    const sentMs = machineNow().getTime()
    const toldMs = (await databaseTime(database)).getTime()
    const receivedMs = machineNow().getTime()
    // What the way there and back accounts for is no difference: else the time would tremble with the load.
    const isWithin = toldMs - offsetMs >= sentMs - 1 && toldMs - offsetMs <= receivedMs + 1
    if (!isWithin) offsetMs = Math.round(toldMs - (sentMs + receivedMs) / 2)
  }
  await measure()
  let isMeasuring = false
  const timer = setInterval(() => {
    if (isMeasuring) return
    isMeasuring = true
    // The clock of the worker says that the database does not tell the time; here the last difference simply holds.
    void measure()
      .catch(() => {})
      .finally(() => {
        isMeasuring = false
      })
  }, everyMs)
  timer.unref()
  return {
    now: () => new Date(machineNow().getTime() + offsetMs),
    measure,
    [Symbol.dispose]: () => clearInterval(timer),
  }
}
