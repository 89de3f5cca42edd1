import { and, eq, gt, or, sql } from 'drizzle-orm'
import type { Database } from '../../database/connect.ts'
import { backupInstances } from '../../database/tables/backup-instance.ts'
import { backupPolicies } from '../../database/tables/policy.ts'
import { lockPolicyAlone } from '../../policy/find.ts'
import { nextStart, overdueAfter } from '../../policy/schedule.ts'

/**
 * Plans anew what was planned by a clock that was ahead: no instance waits for a start later than the next one by its
 * schedule, or is overdue later than one whose last point was proven now. Resolves with how many were planned too late.
 */
export async function repairPlans(database: Database, { now }: { now: Date }): Promise<number> {
  const policies = await database.select({ id: backupPolicies.id }).from(backupPolicies).orderBy(backupPolicies.id)
  let count = 0
  for (const { id } of policies) count += await database.transaction((tx) => repairPlansOf(tx, id, now))
  return count
}

async function repairPlansOf(tx: Database, policyId: string, now: Date): Promise<number> {
  // Nobody revises it meanwhile, and of several who repair one does it.
  const policy = await lockPolicyAlone(tx, policyId)
  const next = policy && nextStart(policy.rules, now)
  const latest = policy && overdueAfter(policy.rules, now)
  if (!policy?.rules.schedule || !next || !latest) return 0
  const { nextNominalAt, nextBackupAt, overdueAt, jitter } = backupInstances
  const spreadMs = sql`floor(${jitter} * ${policy.rules.schedule.spreadMinutes * 60_000}::float8) * interval '1 millisecond'`
  const isLate = gt(nextNominalAt, next)
  const repaired = await tx
    .update(backupInstances)
    .set({
      nextNominalAt: sql`least(${nextNominalAt}, ${moment(next)})`,
      nextBackupAt: sql`case when ${isLate} then ${moment(next)} + ${spreadMs} else ${nextBackupAt} end`,
      overdueAt: sql`least(${overdueAt}, ${moment(latest)})`,
    })
    .where(
      and(
        eq(backupInstances.policyId, policyId),
        eq(backupInstances.policyVersion, policy.version),
        eq(backupInstances.state, 'PROTECTION_CONFIGURED'),
        or(isLate, gt(overdueAt, latest)),
      ),
    )
    .returning({ id: backupInstances.id })
  return repaired.length
}

function moment(at: Date) {
  return sql`${at.toISOString()}::timestamptz`
}
