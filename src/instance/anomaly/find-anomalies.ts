import { and, desc, eq, gt, not } from 'drizzle-orm'
import type { Database } from '../../database/connect.ts'
import { isAnomalous, recoveryPoints } from '../../database/tables/recovery-point.ts'
import type { ProofRules } from '../../policy/policy.ts'
import { isOriginal } from '../../recovery-point/find.ts'
import type { ContainedDatabase } from '../../recovery-point/recovery-point.ts'
import { type ContentFall, compareContent } from '../../retention/compare-content.ts'

export interface FindAnomalies {
  instanceId: string
  /** What the new point holds. */
  databases: readonly ContainedDatabase[]
  /** The policy's; null: nothing is compared. */
  gate: ProofRules['anomalyGate']
  /** A point that is not compared with: the new one itself, once it is recorded. */
  except?: string
}

/**
 * What a new point of an instance holds much less of than the last original before it that is available, was read back,
 * and is not suspicious itself; nothing where there is no such point. However many points fell since, they are all compared with
 * the last good one.
 */
export async function findAnomalies(
  database: Database,
  { instanceId, databases, gate, except }: FindAnomalies,
): Promise<ContentFall[]> {
  if (!gate) return []
  const newest = await database
    .select({ id: recoveryPoints.id, databases: recoveryPoints.databases })
    .from(recoveryPoints)
    .where(
      and(
        eq(recoveryPoints.instanceId, instanceId),
        eq(recoveryPoints.state, 'AVAILABLE'),
        gt(recoveryPoints.proof, 'WRITTEN'),
        not(isAnomalous),
        // A copy does not say whether its original is suspicious.
        isOriginal,
      ),
    )
    .orderBy(desc(recoveryPoints.createdAt), desc(recoveryPoints.id))
    .limit(2)
  const baseline = newest.find(({ id }) => id !== except)
  return baseline ? compareContent(baseline.databases, databases, gate) : []
}
