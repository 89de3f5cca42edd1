import { setTimeout as delay } from 'node:timers/promises'
import type { Database } from '../../database/connect.ts'
import { isOutage } from '../../database/outage.ts'
import { jobs } from '../../database/tables/job.ts'
import { heldBy } from '../change.ts'
import { storableJson } from '../settle/storable.ts'
import { isHeld, type Lease } from './renew.ts'

const pauseMs = 100

/**
 * Resolves when the database says that the run still has its job; throws the signal's reason when it does not, or when
 * the run is to stop. What is to be kept for later attempts is written in the same breath. An outage of the database is waited out for as long as the lease lasts.
 */
export async function confirmHeld(
  database: Database,
  lease: Lease,
  { signal, onLost, keep }: { signal: AbortSignal; onLost: () => void; keep?: unknown },
): Promise<void> {
  for (;;) {
    signal.throwIfAborted()
    try {
      const [row] = await (keep === undefined ? look(database, lease) : keepFor(database, lease, keep))
      if (!row || !isHeld(lease)) onLost()
      return signal.throwIfAborted()
    } catch (cause) {
      if (!isOutage(cause)) throw cause
    }
    await delay(pauseMs, undefined, { signal }).catch(() => {})
  }
}

function look(database: Database, { holder }: Lease) {
  return database.select({ id: jobs.id }).from(jobs).where(heldBy(holder))
}

function keepFor(database: Database, { holder }: Lease, value: unknown) {
  return database
    .update(jobs)
    .set({ kept: storableJson(value) })
    .where(heldBy(holder))
    .returning({ id: jobs.id })
}
