import { asc, inArray } from 'drizzle-orm'
import type { Database } from '../database/connect.ts'
import { vaults } from '../database/tables/vault.ts'
import type { Vault } from './vault.ts'

/** The vaults that name each of many vaults as their replica, by name, by the replica's id; vaults that nobody names are left out. */
export async function findReplicatedVaults(
  database: Database,
  replicaIds: readonly string[],
): Promise<Map<string, Vault[]>> {
  if (replicaIds.length === 0) return new Map()
  const found = await database
    .select()
    .from(vaults)
    .where(inArray(vaults.replicaId, [...replicaIds]))
    .orderBy(asc(vaults.name))
  return Map.groupBy(found, ({ replicaId }) => replicaId ?? '')
}
