import type { Database } from '../../src/database/connect.ts'
import { pageRecoveryPoints } from '../../src/recovery-point/find.ts'
import type { RecoveryPoint } from '../../src/recovery-point/recovery-point.ts'

/** Every recovery point of an instance, newest first. */
export async function findRecoveryPointsOf(database: Database, instanceId: string): Promise<RecoveryPoint[]> {
  const { rows } = await pageRecoveryPoints(database, { filter: { instanceId }, page: { first: 100 } })
  return rows
}
