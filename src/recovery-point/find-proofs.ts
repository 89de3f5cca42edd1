import { desc, sql } from 'drizzle-orm'
import type { Database } from '../database/connect.ts'
import { recoveryPointProofs } from '../database/tables/recovery-point-proof.ts'
import { wanted, wantedId } from '../database/wanted.ts'
import type { RecoveryPointProof } from './proof.ts'

/** The newest proofs of each of many points, newest first, by point id; points without any are left out. */
export async function findProofs(
  database: Database,
  pointIds: readonly string[],
  { first }: { first: number },
): Promise<Map<string, RecoveryPointProof[]>> {
  if (pointIds.length === 0) return new Map()
  const newest = database
    .select()
    .from(recoveryPointProofs)
    .where(sql`${recoveryPointProofs.recoveryPointId} = ${wantedId}`)
    .orderBy(desc(recoveryPointProofs.endedAt), desc(recoveryPointProofs.id))
    .limit(first)
    .as('newest')
  const rows = await database
    .select()
    .from(wanted(pointIds))
    .innerJoinLateral(newest, sql`true`)
    .orderBy(desc(newest.endedAt), desc(newest.id))
  return Map.groupBy(
    rows.map((row) => row.newest),
    (proof) => proof.recoveryPointId,
  )
}
