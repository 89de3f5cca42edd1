import { type SQL, sql } from 'drizzle-orm'
import { backupInstances } from '../../database/tables/backup-instance.ts'
import type { BackupInstance } from '../instance.ts'

/** From so many failures in a row on an instance's trouble counts as persistent. */
const persistentFailures = 3

/** Columns of an instance whose backup or configuration has failed: the user's to cure, or ours. */
export function afterFailure({ isUserError }: { isUserError: boolean }, now: Date) {
  const health = isUserError ? 'DEGRADED' : 'UNHEALTHY'
  return {
    health,
    healthSince: sinceWhen(health, now),
    failuresInARow: sql`${backupInstances.failuresInARow} + 1`,
  } as const
}

/** Columns of an instance whose backup or configuration has succeeded. */
export function afterSuccess(now: Date) {
  return { health: 'HEALTHY', healthSince: sinceWhen('HEALTHY', now), failuresInARow: 0 } as const
}

export type HealthPersistence = 'TRANSIENT' | 'PERSISTENT'

/** Whether what is wrong with an instance may be over with the next backup; null when nothing is wrong. */
export function persistenceOf({
  health,
  failuresInARow,
}: Pick<BackupInstance, 'health' | 'failuresInARow'>): HealthPersistence | null {
  if (health === 'HEALTHY') return null
  return failuresInARow >= persistentFailures ? 'PERSISTENT' : 'TRANSIENT'
}

function sinceWhen(health: BackupInstance['health'], now: Date): SQL {
  return sql`case when ${backupInstances.health} = ${health} then ${backupInstances.healthSince} else ${now.toISOString()}::timestamptz end`
}
