import { and, eq, type SQL, sql } from 'drizzle-orm'
import type { Database } from '../database/connect.ts'
import { backupInstances } from '../database/tables/backup-instance.ts'
import { recoveryPoints } from '../database/tables/recovery-point.ts'
import { vaults } from '../database/tables/vault.ts'
import { isOriginal } from './find.ts'

/** When the copy's time would be over: the same as endOfCopy says. */
const endOfCopy: SQL = sql`coalesce(
  (${recoveryPoints.createdAt} at time zone 'UTC' + ${vaults.replicaRetention}::interval) at time zone 'UTC',
  ${recoveryPoints.expiresAt})`

/** Nothing available of its instance is newer: an expiry would leave it, and leaves its copy. */
const isNewest: SQL = sql`not exists (select 1 from recovery_points newer
  where newer.instance_id = ${recoveryPoints.instanceId} and newer.copy_of_id is null and newer.state = 'AVAILABLE'
    and (newer.created_at, newer.id) > (${recoveryPoints.createdAt}, ${recoveryPoints.id}))`

/**
 * Whether a point still lacks the second copy that its vault's rule asks for: part of a statement on points joined with their
 * vault and their instance. Asked for is one of every available original, but where the copy would go at once.
 */
export function isMissingCopy(now: Date): SQL | undefined {
  const staysForever = eq(backupInstances.state, 'PROTECTION_STOPPED')
  return and(
    isOriginal,
    eq(recoveryPoints.state, 'AVAILABLE'),
    sql`${vaults.replicaId} is not null and ${backupInstances.state} <> 'SOFT_DELETED'`,
    sql`not exists (select 1 from recovery_points copy
      where copy.copy_of_id = ${recoveryPoints.id} and copy.vault_id = ${vaults.replicaId})`,
    sql`(${endOfCopy} > ${now.toISOString()}::timestamptz or ${staysForever} or ${isNewest})`,
  )
}

/** The points of a vault that lack their second copy. */
export interface MissingCopies {
  count: number
  storedBytes: number
  /** When the first of them was made; null when there is none. */
  oldestAt: Date | null
}

/** That of each of many vaults that name a replica, by vault id; vaults that lack none are left out. */
export async function findMissingCopies(
  database: Database,
  vaultIds: readonly string[],
  now: Date,
): Promise<Map<string, MissingCopies>> {
  if (vaultIds.length === 0) return new Map()
  const rows = await database
    .select({
      id: vaults.id,
      count: sql`count(*)`.mapWith(Number),
      storedBytes: sql`sum(${recoveryPoints.storedBytes})`.mapWith(Number),
      oldestAt: sql`min(${recoveryPoints.createdAt})`.mapWith(recoveryPoints.createdAt),
    })
    .from(recoveryPoints)
    .innerJoin(vaults, eq(vaults.id, recoveryPoints.vaultId))
    .innerJoin(backupInstances, eq(backupInstances.id, recoveryPoints.instanceId))
    .where(and(sql`${vaults.id} = any (${`{${vaultIds.join(',')}}`}::text::uuid[])`, isMissingCopy(now)))
    .groupBy(vaults.id)
  return new Map(rows.map(({ id, ...missing }) => [id, missing]))
}
