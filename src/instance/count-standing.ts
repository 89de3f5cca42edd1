import { and, count, eq, inArray, lte, ne } from 'drizzle-orm'
import type { Database } from '../database/connect.ts'
import { backupInstances } from '../database/tables/backup-instance.ts'
import { recoveryPoints } from '../database/tables/recovery-point.ts'
import type { BackupInstance } from './instance.ts'
import { statesBackedUp } from './states.ts'

/** How all backup instances stand, for whoever watches the service. */
export interface Standing {
  overdueCount: number
  /** Of those that are backed up: nothing changes the health of others any more. */
  byHealth: { health: BackupInstance['health']; count: number }[]
  /** Recovery points in which damage was found; those of soft-deleted instances are on their way out and left out. */
  suspectPointCount: number
}

/** Counts what is overdue at that moment, what is healthy and what is damaged. */
export async function countStanding(database: Database, now: Date): Promise<Standing> {
  const [overdueCount, byHealth, suspectPointCount] = await Promise.all([
    database.$count(backupInstances, lte(backupInstances.overdueAt, now)),
    database
      .select({ health: backupInstances.health, count: count() })
      .from(backupInstances)
      .where(inArray(backupInstances.state, [...statesBackedUp]))
      .groupBy(backupInstances.health),
    countSuspect(database),
  ])
  return { overdueCount, byHealth, suspectPointCount }
}

async function countSuspect(database: Database): Promise<number> {
  const [suspect] = await database
    .select({ count: count() })
    .from(recoveryPoints)
    .innerJoin(backupInstances, eq(backupInstances.id, recoveryPoints.instanceId))
    .where(and(eq(recoveryPoints.state, 'SUSPECT'), ne(backupInstances.state, 'SOFT_DELETED')))
  return suspect?.count ?? 0
}
