import { and, asc, eq, inArray, isNotNull, max } from 'drizzle-orm'
import type { Database } from '../../database/connect.ts'
import { backupInstances } from '../../database/tables/backup-instance.ts'
import { recoveryPoints } from '../../database/tables/recovery-point.ts'
import { vaults } from '../../database/tables/vault.ts'
import type { RecoveryPoint } from '../recovery-point.ts'

/** The second copies of each of many points, oldest copy first, by the original's id; points without any are left out. */
export async function findCopies(
  database: Database,
  originalIds: readonly string[],
): Promise<Map<string, RecoveryPoint[]>> {
  if (originalIds.length === 0) return new Map()
  const copies = await database
    .select()
    .from(recoveryPoints)
    .where(inArray(recoveryPoints.copyOfId, [...originalIds]))
    .orderBy(asc(recoveryPoints.copiedAt), asc(recoveryPoints.id))
  return Map.groupBy(copies, ({ copyOfId }) => copyOfId ?? '')
}

/** The copy of a point that lies in a vault; undefined when there is none. */
export async function findCopyIn(
  database: Database,
  { originalId, vaultId }: { originalId: string; vaultId: string },
): Promise<RecoveryPoint | undefined> {
  const [copy] = await database
    .select()
    .from(recoveryPoints)
    .where(and(eq(recoveryPoints.copyOfId, originalId), eq(recoveryPoints.vaultId, vaultId)))
  return copy
}

/** When the last copy was made of what each of many vaults keeps, in the replica that it names, by vault id; those without are left out. */
export async function findLastCopiedAt(database: Database, vaultIds: readonly string[]): Promise<Map<string, Date>> {
  if (vaultIds.length === 0) return new Map()
  const rows = await database
    .select({ id: vaults.id, at: max(recoveryPoints.copiedAt) })
    .from(recoveryPoints)
    .innerJoin(backupInstances, eq(backupInstances.id, recoveryPoints.instanceId))
    .innerJoin(vaults, and(eq(vaults.id, backupInstances.vaultId), eq(vaults.replicaId, recoveryPoints.vaultId)))
    .where(and(isNotNull(recoveryPoints.copyOfId), inArray(vaults.id, [...vaultIds])))
    .groupBy(vaults.id)
  return new Map(rows.flatMap(({ id, at }) => (at ? [[id, at]] : [])))
}
