import { inArray, or, sql } from 'drizzle-orm'
import type { Database } from '../../database/connect.ts'
import { jobs } from '../../database/tables/job.ts'
import { type Holder, heldBy } from '../change.ts'

/** The right to run a job, by the worker's own monotonic clock. */
export interface Lease {
  readonly holder: Holder
  /** On the clock of `performance.now()`: after it nothing may be written any more. */
  heldUntil: number
}

/** Whether the worker may still believe that the job is its own. The database has the last word. */
export function isHeld(lease: Lease): boolean {
  return performance.now() < lease.heldUntil
}

/** Until when a lease reaches that is now asked for, in the database's clock. */
export function leaseEnd(leaseMs: number) {
  return sql`clock_timestamp() + ${leaseMs} * interval '1 millisecond'`
}

export interface Renewal {
  /** No longer this worker's, or ended. */
  lost: Lease[]
  /** Still this worker's, and someone asked for it to be cancelled. */
  cancelled: Lease[]
}

export interface RenewalOfAll extends Renewal {
  /** Still this worker's, and not renewed: somebody holds the job's row. */
  passedOver: Lease[]
}

/**
 * Renews leases in one statement, which waits for none of them: a job whose row somebody holds, such as its own settlement,
 * or its progress just being written, is passed over. A lease is never taken to reach further than the database was asked for before it answered.
 */
export async function renewLeases(
  database: Database,
  leases: readonly Lease[],
  leaseMs: number,
): Promise<RenewalOfAll> {
  if (leases.length === 0) return { lost: [], cancelled: [], passedOver: [] }
  const askedAt = performance.now()
  const free = database
    .select({ id: jobs.id })
    .from(jobs)
    .where(heldByAny(leases))
    .for('no key update', { skipLocked: true })
  const renewed = await database
    .update(jobs)
    .set({ leaseUntil: leaseEnd(leaseMs) })
    .where(inArray(jobs.id, free))
    .returning(facts)
  const others = leases.filter((lease) => !renewed.some(isOf(lease)))
  const stillHeld = await lookAt(database, others)
  const renewal: RenewalOfAll = { lost: [], cancelled: [], passedOver: [] }
  for (const lease of leases) {
    const now = renewed.find(isOf(lease))
    const row = now ?? stillHeld.find(isOf(lease))
    if (!row) renewal.lost.push(lease)
    else if (now) extend(lease, askedAt + leaseMs)
    else renewal.passedOver.push(lease)
    if (row?.cancelRequestedAt) renewal.cancelled.push(lease)
  }
  return renewal
}

/** Renews one lease, and waits for whoever holds its job's row. */
export async function renewLease(database: Database, lease: Lease, leaseMs: number): Promise<Renewal> {
  const askedAt = performance.now()
  const [row] = await database
    .update(jobs)
    .set({ leaseUntil: leaseEnd(leaseMs) })
    .where(heldBy(lease.holder))
    .returning(facts)
  if (row) extend(lease, askedAt + leaseMs)
  return { lost: row ? [] : [lease], cancelled: row?.cancelRequestedAt ? [lease] : [] }
}

/** An answer that comes when the lease has already run out does not bring it back: the run has been stopped. */
function extend(lease: Lease, until: number): void {
  if (isHeld(lease)) lease.heldUntil = Math.max(lease.heldUntil, until)
}

const facts = { id: jobs.id, attempt: jobs.attempt, cancelRequestedAt: jobs.cancelRequestedAt }

async function lookAt(database: Database, leases: readonly Lease[]) {
  return leases.length === 0 ? [] : database.select(facts).from(jobs).where(heldByAny(leases))
}

function heldByAny(leases: readonly Lease[]) {
  return or(...leases.map(({ holder }) => heldBy(holder)))
}

function isOf({ holder }: Lease) {
  return ({ id, attempt }: { id: string; attempt: number }) => id === holder.jobId && attempt === holder.attempt
}
