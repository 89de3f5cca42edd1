import { sql } from 'drizzle-orm'
import type { Database } from '../../database/connect.ts'
import { decodedOrMadeAt } from '../../database/tables/recovery-point.ts'
import { wanted, wantedId } from '../../database/wanted.ts'
import type { ProofRules } from '../../policy/policy.ts'
import { dayMs } from './candidate.ts'
import { endOf } from './decide-verification.ts'

/** How far the points of an instance have been verified. */
export interface VerificationStanding {
  /** When any of them was last decoded to its end, and last restored for proof; null: never. */
  lastDecodedAt: Date | null
  lastRestoredAt: Date | null
  /** When the policy wants the next one at the latest, past when it is late; null when it wants none. */
  dueBy: Date | null
}

/** What a point is given before it is late that its policy has decoded at once, or restored, ms. */
const graceMs = dayMs

/** That of each of many instances, by instance id: by two statements, each by an index. */
export async function findStandings(
  database: Database,
  instanceIds: readonly string[],
): Promise<Map<string, VerificationStanding>> {
  if (instanceIds.length === 0) return new Map()
  const newest = (column: 'decoded_at' | 'restored_at') =>
    sql`(select floor(extract(epoch from max(${sql.raw(column)})) * 1000) from recovery_points where instance_id = ${wantedId} and copy_of_id is null)`
  const oldest = (which = sql`true`) => sql`(select floor(extract(epoch from ${decodedOrMadeAt}) * 1000)
    from recovery_points where instance_id = ${wantedId} and copy_of_id is null and marked_at is null and ${which}
    order by ${decodedOrMadeAt} limit 1)`
  const made = sql`(select floor(extract(epoch from min(created_at)) * 1000) from recovery_points
    where instance_id = ${wantedId} and copy_of_id is null and state = 'AVAILABLE')`
  const rows = await database.execute<{
    instance: string
    verification: ProofRules['verification']
    decoded: string | null
    restored: string | null
    oldest: string | null
    undecoded: string | null
    made: string | null
  }>(sql`
    select ${wantedId} as instance, verification, ${newest('decoded_at')} as decoded, ${newest('restored_at')} as restored,
      ${oldest()} as oldest, ${oldest(sql`decoded_at is null and restored_at is null`)} as undecoded, ${made} as made
    from ${wanted(instanceIds)}
    join backup_instances on backup_instances.id = ${wantedId}
    join policy_versions on policy_versions.policy_id = backup_instances.policy_id
      and policy_versions.version = backup_instances.policy_version`)
  return new Map(
    rows.map(({ instance, verification, ...found }) => {
      const moments = {
        lastDecodedAt: momentOf(found.decoded),
        lastRestoredAt: momentOf(found.restored),
        oldest: momentOf(found.oldest),
        undecoded: momentOf(found.undecoded),
        made: momentOf(found.made),
      }
      const { lastDecodedAt, lastRestoredAt } = moments
      return [instance, { lastDecodedAt, lastRestoredAt, dueBy: dueBy(verification, moments) }]
    }),
  )
}

function dueBy(
  { decode, restoreEvery }: ProofRules['verification'],
  { lastRestoredAt, oldest, undecoded, made }: Record<'lastRestoredAt' | 'oldest' | 'undecoded' | 'made', Date | null>,
): Date | null {
  const moments: number[] = []
  if (decode?.kind === 'WITHIN' && oldest) moments.push(endOf(oldest, decode.duration))
  if (decode?.kind === 'EVERY_POINT' && undecoded) moments.push(undecoded.getTime() + graceMs)
  if (restoreEvery !== null && made) moments.push(endOf(lastRestoredAt ?? made, restoreEvery) + graceMs)
  return moments.length === 0 ? null : new Date(Math.min(...moments))
}

function momentOf(epochMs: string | null): Date | null {
  return epochMs === null ? null : new Date(Number(epochMs))
}
