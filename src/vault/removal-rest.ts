import { desc, gt, sql } from 'drizzle-orm'
import type { Database } from '../database/connect.ts'
import { removalRests } from '../database/tables/removal-rest.ts'

/** Until when nothing is removed from any vault, and why, in words for an operator. */
export type RemovalRest = Pick<typeof removalRests.$inferSelect, 'endsAt' | 'reason'>

/** What lets removals rest: each has a rest of its own, so that one that is wrong takes no other away. */
type RestKind = (typeof removalRests.$inferSelect)['id']

/**
 * Lets nothing be removed from any vault for so long, ms: neither by the clock nor by a job that begins meanwhile. A rest of
 * the same kind that ends later stays. Answers which one of all ends last.
 */
export async function restRemovals(
  tx: Database,
  { kind, forMs, reason, now }: { kind: RestKind; forMs: number; reason: string; now: Date },
): Promise<RemovalRest> {
  const rest = { begunAt: now, endsAt: new Date(now.getTime() + forMs), reason }
  await tx
    .insert(removalRests)
    .values({ id: kind, ...rest })
    .onConflictDoUpdate({
      target: removalRests.id,
      set: rest,
      setWhere: sql`${removalRests.endsAt} < excluded.ends_at`,
    })
  const [longest] = await tx.select().from(removalRests).orderBy(desc(removalRests.endsAt)).limit(1)
  if (!longest) throw new Error('A rest that was there is gone.')
  return longest
}

/** The rest that holds at a moment, that which ends last; undefined when what is due may go. */
export async function findRemovalRest(database: Database, now: Date): Promise<RemovalRest | undefined> {
  const { endsAt } = removalRests
  const [rest] = await database.select().from(removalRests).where(gt(endsAt, now)).orderBy(desc(endsAt)).limit(1)
  return rest
}

/** Has each rest that was begun by a clock which was ahead begin now, and last as long as it was to; others are left as they are. */
export async function mendRemovalRest(database: Database, now: Date): Promise<void> {
  const present = sql`${now.toISOString()}::timestamptz`
  await database
    .update(removalRests)
    .set({ begunAt: now, endsAt: sql`${present} + (${removalRests.endsAt} - ${removalRests.begunAt})` })
    .where(gt(removalRests.begunAt, now))
}

/** What the rest says to whoever waits for a removal. */
export function sentenceOf({ endsAt, reason }: RemovalRest): string {
  return `nothing is removed until ${endsAt.toISOString()}: ${reason}`
}
