import { sql } from 'drizzle-orm'
import type { Database } from '../../database/connect.ts'
import { wanted, wantedId } from '../../database/wanted.ts'
import { isBeingRead } from '../../recovery-point/find.ts'
import type { ExpiryFacts, GuardedPoints } from '../../retention/decide-expiry.ts'

/** What decides whether an expiry run would stop and ask. */
export interface ExpiryBudget extends Pick<ExpiryFacts, 'unmarkedCount' | 'shareLimitPercent'> {
  /** The points that it would take at the moment if no limit were set, of no question yet. */
  askingCount: number
}

export interface FindBudgets {
  instanceIds: readonly string[]
  /** The points that no expiry may take, by instance id. */
  guarded: ReadonlyMap<string, GuardedPoints>
  now: Date
}

/** That of each of many instances whose points expire, by instance id; one statement, which counts their points. */
export async function findBudgets(
  database: Database,
  { instanceIds, guarded, now }: FindBudgets,
): Promise<Map<string, ExpiryBudget>> {
  if (instanceIds.length === 0) return new Map()
  const isOver = sql`${now.toISOString()}::timestamptz`
  const guardedIds = instanceIds.flatMap((id) => {
    const { newestRestorable, bestProven } = guarded.get(id) ?? { newestRestorable: null, bestProven: null }
    return [newestRestorable, bestProven].filter((each) => each !== null)
  })
  const unmarked = sql`select count(*) from recovery_points where instance_id = ${wantedId} and marked_at is null`
  const asking = sql`${unmarked} and expires_at <= ${isOver}
    and (expiry_approved_through is null or expires_at > expiry_approved_through)
    and (expiry_blocked_at is null or expires_at > expiry_blocked_at)
    and (held_at is null or hold_until <= ${isOver})
    and recovery_points.id <> all (${`{${guardedIds.join(',')}}`}::text::uuid[])
    and not ${isBeingRead}`
  // Two counts, each by the index of ends: one count with a filter would read all rows.
  const rows = await database.execute<{ instance: string; share: number; unmarked: string; asking: string }>(sql`
    select ${wantedId} as instance, expiry_share_limit_percent as share, (${unmarked}) as unmarked, (${asking}) as asking
    from ${wanted(instanceIds)}
    join backup_instances on backup_instances.id = ${wantedId}
    join vaults on vaults.id = backup_instances.vault_id`)
  return new Map(
    rows.map(({ instance, share, unmarked, asking: count }) => [
      instance,
      { shareLimitPercent: share, unmarkedCount: Number(unmarked), askingCount: Number(count) },
    ]),
  )
}
