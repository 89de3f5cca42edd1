import { and, asc, gt, inArray, lte, or } from 'drizzle-orm'
import type { Database } from '../../database/connect.ts'
import { backupInstances } from '../../database/tables/backup-instance.ts'
import { enqueueJobs } from '../../job/enqueue.ts'
import { findPlaces } from '../../recovery-point/find.ts'
import { statesLookedAt } from '../states.ts'
import { expiryJob, putOff } from './enqueue-expiry.ts'
import { longestUnseenMs } from './next-expiry.ts'

export interface StartDue {
  /** The moment that decides what is due: by the clock that all schedulers share. */
  now: Date
  /** How many instances at once. */
  atMost: number
}

/** What is due later than this was planned by a clock that was ahead, ms. */
const tooFarMs = longestUnseenMs + 24 * 60 * 60_000

/**
 * Enqueues the expiry jobs of instances that are to be looked at, in one short transaction; resolves with how many those
 * were. Any number of schedulers may do this at once: an instance that another one has at hand is passed over.
 */
export async function startDueExpiries(database: Database, { now, atMost }: StartDue): Promise<number> {
  return database.transaction(async (tx) => {
    const due = await tx
      .select()
      .from(backupInstances)
      .where(
        and(
          or(
            lte(backupInstances.expiryDueAt, now),
            gt(backupInstances.expiryDueAt, new Date(now.getTime() + tooFarMs)),
          ),
          inArray(backupInstances.state, [...statesLookedAt]),
        ),
      )
      .orderBy(asc(backupInstances.expiryDueAt))
      .limit(atMost)
      .for('no key update', { skipLocked: true })
    if (due.length === 0) return 0
    const ids = due.map(({ id }) => id)
    const places = await findPlaces(tx, ids)
    await enqueueJobs(
      tx,
      due.map((instance) => expiryJob({ instance, trigger: 'SYSTEM', actor: 'holdfast', now }, places)),
    )
    await putOff(tx, ids, now)
    return due.length
  })
}
