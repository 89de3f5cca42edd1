import type { Logger } from 'pino'
import type { Database } from '../../database/connect.ts'
import type { Performance } from '../runner/perform.ts'
import { isHeld, type Lease, type Renewal, renewLease, renewLeases } from './renew.ts'

export interface LeaseKeeper {
  /** Renews now, and so learns of a cancel: one job's lease, or all. */
  renew(jobId?: string): void
  stop(): void
}

/**
 * Renews the leases of all running jobs every third of their length. A run whose lease was taken, or ran out by this
 * process's own clock because the database could not be asked or the process was frozen, is stopped at once. A lease whose
 * job's row is held just then is renewed by itself as soon as that is over, and holds up no other.
 */
export function keepLeases(
  database: Database,
  running: ReadonlyMap<string, Performance>,
  { leaseMs, log }: { leaseMs: number; log: Logger },
): LeaseKeeper {
  const runOf = (lease: Lease) => [...running.values()].find((run) => run.lease === lease)
  const renew = async (jobId?: string) => {
    const runs = [...running.values()].filter(({ lease }) => jobId === undefined || lease.holder.jobId === jobId)
    const held = runs.map(({ lease }) => lease).filter(isHeld)
    const { passedOver, ...renewal } = await renewLeases(database, held, leaseMs)
    heed(renewal)
    await Promise.all(passedOver.filter((lease) => !waiting.has(lease)).map(renewAlone))
  }
  const waiting = new Set<Lease>()
  const renewAlone = async (lease: Lease) => {
    waiting.add(lease)
    try {
      heed(await renewLease(database, lease, leaseMs))
    } finally {
      waiting.delete(lease)
    }
  }
  const heed = ({ lost, cancelled }: Renewal) => {
    for (const lease of lost) runOf(lease)?.stop('LEASE_LOST')
    for (const lease of cancelled) {
      const run = runOf(lease)
      if (!run?.isCleanUp) run?.stop('CANCELLED')
    }
  }
  const tryToRenew = (jobId?: string) => {
    renew(jobId).catch((cause) => log.warn({ err: cause }, 'Leases could not be renewed; it is tried again.'))
  }
  const renewal = setInterval(tryToRenew, leaseMs / 3)
  const watch = setInterval(
    () => {
      for (const run of running.values()) if (!isHeld(run.lease)) run.stop('LEASE_LOST')
    },
    Math.min(leaseMs / 20, 500),
  )
  return {
    renew: tryToRenew,
    stop() {
      clearInterval(renewal)
      clearInterval(watch)
    },
  }
}
