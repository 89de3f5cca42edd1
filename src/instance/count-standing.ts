import { count, eq, lte } from 'drizzle-orm'
import type { Database } from '../database/connect.ts'
import { backupInstances } from '../database/tables/backup-instance.ts'
import { recoveryPoints } from '../database/tables/recovery-point.ts'
import type { BackupInstance } from './instance.ts'

/** How all backup instances stand, for whoever watches the service. */
export interface Standing {
  overdueCount: number
  byHealth: { health: BackupInstance['health']; count: number }[]
  /** Recovery points in which damage was found. */
  suspectPointCount: number
}

/** Counts what is overdue at that moment, what is healthy and what is damaged. */
export async function countStanding(database: Database, now: Date): Promise<Standing> {
  const [overdueCount, byHealth, suspectPointCount] = await Promise.all([
    database.$count(backupInstances, lte(backupInstances.overdueAt, now)),
    database
      .select({ health: backupInstances.health, count: count() })
      .from(backupInstances)
      .groupBy(backupInstances.health),
    database.$count(recoveryPoints, eq(recoveryPoints.state, 'SUSPECT')),
  ])
  return { overdueCount, byHealth, suspectPointCount }
}
