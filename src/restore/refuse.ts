import type { Database } from '../database/connect.ts'
import { findAvailableTwin, lockForReading, type RecoveryPointContext } from '../recovery-point/find.ts'
import type { RecoveryPoint } from '../recovery-point/recovery-point.ts'
import { InvalidInput, Refusal } from '../refusal.ts'

/** Damage was found in the recovery point: nothing is restored from it. */
export class RecoveryPointSuspect extends Refusal {
  readonly damage: readonly string[]
  /** A point that holds the same and can be restored from; null when there is none. */
  readonly twinId: string | null

  constructor(point: RecoveryPoint, twin: RecoveryPoint | null = null) {
    super(`Recovery point of ${point.pointInTime.toISOString()} is damaged: ${point.damage.join(' ')}`, [
      ...(twin ? ['Restore from `availableCopy` instead: it holds the same, in another vault.'] : []),
      'Restore from another recovery point.',
      'When the cause is cured (a disk that came back, say), verify the point again.',
    ])
    this.damage = point.damage
    this.twinId = twin?.id ?? null
  }
}

/** A restore to the same destination is queued or running. */
export class RestoreAlreadyRunning extends Refusal {
  readonly runningJobId: string

  constructor(runningJobId: string) {
    super('A restore to that destination is queued or running already.', ['Follow that job, or cancel it first.'])
    this.runningJobId = runningJobId
  }
}

/**
 * The point with its instance, when it can be restored from; refuses an unknown or suspect one, one on its way out, and one
 * of a deleted instance. It stays until the transaction that enqueues the restore ends.
 */
export async function requireRestorable(tx: Database, recoveryPointId: string): Promise<RecoveryPointContext> {
  const found = await lockForReading(tx, recoveryPointId, 'RESTORE')
  if (found.point.state === 'SUSPECT') {
    throw new RecoveryPointSuspect(found.point, await findAvailableTwin(tx, found.point))
  }
  return found
}

/** Refuses database names that the point does not hold, or an empty choice. */
export function checkDatabases(point: RecoveryPoint, names: readonly string[]): void {
  if (names.length === 0)
    throw new InvalidInput('databases', 'No database was chosen.', ['Name one, or leave the field out for all.'])
  const held = new Set(point.databases.map((database) => database.name))
  const unknown = names.find((name) => !held.has(name))
  if (unknown !== undefined) {
    throw new InvalidInput('databases', `The recovery point holds no database ${JSON.stringify(unknown)}.`, [
      `It holds ${[...held].map((name) => JSON.stringify(name)).join(', ')}.`,
    ])
  }
  if (new Set(names).size < names.length) throw new InvalidInput('databases', 'A database was chosen twice.')
}
