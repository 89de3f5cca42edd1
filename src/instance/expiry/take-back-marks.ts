import { and, eq, isNull } from 'drizzle-orm'
import type { Database } from '../../database/connect.ts'
import { recoveryPoints } from '../../database/tables/recovery-point.ts'
import { takenBack } from '../../recovery-point/recovery-point.ts'

/**
 * Takes back the choice of an instance's points for removal, but for those whose bytes are being removed already. The
 * instance is locked by the caller. Resolves with how many were kept by that.
 */
export async function takeBackMarks(tx: Database, instanceId: string): Promise<number> {
  const kept = await tx
    .update(recoveryPoints)
    .set(takenBack)
    .where(
      and(
        eq(recoveryPoints.instanceId, instanceId),
        eq(recoveryPoints.state, 'REMOVING'),
        isNull(recoveryPoints.sweepStartedAt),
      ),
    )
    .returning({ id: recoveryPoints.id })
  return kept.length
}
