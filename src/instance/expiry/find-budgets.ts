import { sql } from 'drizzle-orm'
import type { Database } from '../../database/connect.ts'
import { isBeingRead } from '../../recovery-point/find.ts'
import type { GuardedPoints, ShareLimit } from '../../retention/decide-expiry.ts'
import { guardedIds } from './plan-expiry.ts'

/** What decides whether an expiry run would stop and ask for what an instance has in one vault. */
export interface ExpiryBudget extends ShareLimit {
  /** The points that it would take at the moment if no limit were set, of no question yet. */
  askingCount: number
}

export interface FindBudgets {
  instanceIds: readonly string[]
  /** The points that no expiry may take, by instance id and vault id. */
  guarded: ReadonlyMap<string, ReadonlyMap<string, GuardedPoints>>
  now: Date
}

/** Those of each of many instances whose points expire, one a vault, by instance id; one statement, which counts their points. */
export async function findBudgets(
  database: Database,
  { instanceIds, guarded, now }: FindBudgets,
): Promise<Map<string, ExpiryBudget[]>> {
  const places = instanceIds.flatMap((id) => [...(guarded.get(id)?.keys() ?? [])].map((vault) => ({ id, vault })))
  if (places.length === 0) return new Map()
  const isOver = sql`${now.toISOString()}::timestamptz`
  const kept = instanceIds.flatMap((id) => [...guardedIds(guarded.get(id))])
  const unmarked = sql`select count(*) from recovery_points
    where instance_id = place.instance_id and vault_id = place.vault_id and marked_at is null`
  const asking = sql`${unmarked} and expires_at <= ${isOver}
    and (expiry_approved_through is null or expires_at > expiry_approved_through)
    and (expiry_blocked_at is null or expires_at > expiry_blocked_at)
    and (held_at is null or hold_until <= ${isOver})
    and recovery_points.id <> all (${`{${kept.join(',')}}`}::text::uuid[])
    and not ${isBeingRead}`
  const idsOf = (ids: readonly string[]) => sql`${`{${ids.join(',')}}`}::text::uuid[]`
  // Two counts, each by the index of ends: one count with a filter would read all rows.
  const rows = await database.execute<{ instance: string; share: number; unmarked: string; asking: string }>(sql`
    select place.instance_id as instance, expiry_share_limit_percent as share, (${unmarked}) as unmarked, (${asking}) as asking
    from unnest(${idsOf(places.map(({ id }) => id))}, ${idsOf(places.map(({ vault }) => vault))}) as place (instance_id, vault_id)
    join backup_instances on backup_instances.id = place.instance_id
    join vaults on vaults.id = place.vault_id`)
  const budgetOf = ({ share, unmarked: all, asking: count }: (typeof rows)[number]): ExpiryBudget => ({
    shareLimitPercent: share,
    unmarkedCount: Number(all),
    askingCount: Number(count),
  })
  const found = Map.groupBy(rows, ({ instance }) => instance)
  return new Map([...found].map(([instance, budgets]) => [instance, budgets.map(budgetOf)]))
}
