import { and, asc, desc, eq, gt, lte, type SQL, sql } from 'drizzle-orm'
import type { Database } from '../../database/connect.ts'
import { backupInstances } from '../../database/tables/backup-instance.ts'
import { notifications } from '../../database/tables/notification.ts'
import { recoveryPoints } from '../../database/tables/recovery-point.ts'
import { recordNotification } from '../../notification/record.ts'
import { isOriginal } from '../../recovery-point/find.ts'

export interface TellOverdue {
  /** Only instances that became overdue after this moment; null: whenever that was. */
  after: Date | null
  now: Date
  atMost: number
}

/**
 * Tells operators of the instances that are overdue, once for each time that one becomes so; answers how many it told of.
 * Costs what became overdue after the given moment, told or not.
 */
export async function tellOverdue(database: Database, { after, now, atMost }: TellOverdue): Promise<number> {
  return database.transaction(async (tx) => {
    const overdue = await findUntold(tx, { after, now, atMost })
    for (const { instance, overdueAt, provenAt, onceKey } of overdue) {
      const last = provenAt
        ? `its newest recovery point that is known to be good was made at ${provenAt.toISOString()}`
        : 'it has no recovery point that is known to be good'
      await recordNotification(tx, {
        kind: 'PROTECTION_OVERDUE',
        severity: 'ERROR',
        message: `Backup instance "${instance.name}" is overdue since ${overdueAt.toISOString()}: ${last}.`,
        recommendedActions: [
          'Look at its last backup: the error says what to do.',
          'If there is none, check that a worker runs and has room; then start a backup on demand.',
        ],
        about: { instanceId: instance.id, vaultId: instance.vaultId, policyId: instance.policyId, name: instance.name },
        onceKey,
        now,
      })
    }
    return overdue.length
  })
}

const onceKey: SQL<string> = sql`'overdue:' || ${backupInstances.id} || ':' ||
  to_char(${backupInstances.overdueAt} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')`

async function findUntold(tx: Database, { after, now, atMost }: TellOverdue) {
  const newest = tx
    .select({ createdAt: recoveryPoints.createdAt })
    .from(recoveryPoints)
    .where(and(eq(recoveryPoints.instanceId, backupInstances.id), eq(recoveryPoints.state, 'AVAILABLE'), isOriginal))
    .orderBy(desc(recoveryPoints.createdAt))
    .limit(1)
    .as('newest')
  const told = sql`exists (select from ${notifications} where ${notifications.onceKey} = ${onceKey})`
  const rows = await tx
    .select({ instance: backupInstances, provenAt: newest.createdAt, onceKey })
    .from(backupInstances)
    .leftJoinLateral(newest, sql`true`)
    .where(
      and(
        lte(backupInstances.overdueAt, now),
        after === null ? undefined : gt(backupInstances.overdueAt, after),
        sql`not ${told}`,
      ),
    )
    // The same order for everybody: two that tell of the same instances wait for each other one way only.
    .orderBy(asc(backupInstances.overdueAt), asc(backupInstances.id))
    .limit(atMost)
  return rows.flatMap(({ instance, ...rest }) => {
    const { overdueAt } = instance
    return overdueAt === null ? [] : [{ instance, overdueAt, ...rest }]
  })
}
