import { gt, sql } from 'drizzle-orm'
import type { Database } from '../database/connect.ts'
import { removalRests } from '../database/tables/removal-rest.ts'

/** Until when nothing is removed from any vault, and why, in words for an operator. */
export type RemovalRest = Pick<typeof removalRests.$inferSelect, 'endsAt' | 'reason'>

const onlyRow = 'all'

/**
 * Lets nothing be removed from any vault for so long, ms: neither by the clock nor by a job that begins meanwhile. A rest that
 * ends later stays. Answers which one holds.
 */
export async function restRemovals(
  tx: Database,
  { forMs, reason, now }: { forMs: number; reason: string; now: Date },
): Promise<RemovalRest> {
  const rest = { begunAt: now, endsAt: new Date(now.getTime() + forMs), reason }
  const [held] = await tx
    .insert(removalRests)
    .values({ id: onlyRow, ...rest })
    .onConflictDoUpdate({
      target: removalRests.id,
      set: rest,
      setWhere: sql`${removalRests.endsAt} < excluded.ends_at`,
    })
    .returning()
  const [longer] = held ? [held] : await tx.select().from(removalRests)
  if (!longer) throw new Error('A rest that was there is gone.')
  return longer
}

/** The rest that holds at a moment; undefined when what is due may go. */
export async function findRemovalRest(database: Database, now: Date): Promise<RemovalRest | undefined> {
  const [rest] = await database.select().from(removalRests).where(gt(removalRests.endsAt, now))
  return rest
}

/** Has a rest that was begun by a clock which was ahead begin now, and last as long as it was to; others are left as they are. */
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
