import { sql } from 'drizzle-orm'
import type { Database } from '../../database/connect.ts'
import { bytesReadAt } from '../../database/tables/recovery-point.ts'
import { wanted, wantedId } from '../../database/wanted.ts'
import { startsFrom } from '../../instance/states.ts'

/** How far the bytes of a vault have been read again. */
export interface ScrubProgress {
  /** When the point was read that was read longest ago; null when one was not read yet, or there is none. */
  oldestReadAt: Date | null
  /** Points that were read longer ago than the vault's period allows. */
  pointsDue: number
}

/** That of each of many vaults, by vault id, of the points that are read again at all; one statement, by an index. */
export async function findScrubs(
  database: Database,
  { vaultIds, now }: { vaultIds: readonly string[]; now: Date },
): Promise<Map<string, ScrubProgress>> {
  if (vaultIds.length === 0) return new Map()
  const isRead = sql`recovery_points.vault_id = ${wantedId} and marked_at is null
    and exists (select 1 from backup_instances where backup_instances.id = instance_id
      and backup_instances.state = any(${`{${startsFrom('VERIFY_RECOVERY_POINT').join(',')}}`}::text::protection_state[]))`
  const rows = await database.execute<{ vault: string; oldest: string | null; due: string }>(sql`
    select ${wantedId} as vault,
      (select floor(extract(epoch from nullif(${bytesReadAt}, '-infinity')) * 1000) from recovery_points
        where ${isRead} order by ${bytesReadAt} limit 1) as oldest,
      (select count(*) from recovery_points where ${isRead} and scrub_days > 0
        and ${bytesReadAt} <= ${now.toISOString()}::timestamptz - scrub_days * interval '1 day') as due
    from ${wanted(vaultIds)}
    join vaults on vaults.id = ${wantedId}`)
  return new Map(
    rows.map(({ vault, oldest, due }) => [
      vault,
      { oldestReadAt: oldest === null ? null : new Date(Number(oldest)), pointsDue: Number(due) },
    ]),
  )
}
