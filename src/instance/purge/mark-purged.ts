import { and, eq, isNull, sql } from 'drizzle-orm'
import type { Database } from '../../database/connect.ts'
import { recoveryPoints } from '../../database/tables/recovery-point.ts'

export interface MarkPurged {
  /** Of this instance the purge has begun. */
  instanceId: string
  /** How many points go into one transaction at most. */
  atOnce: number
  now: Date
}

/**
 * Shows the next points of an instance that is being purged as being removed; resolves with how many those were, 0 when it
 * is so for all. Nothing changes for the purge itself when this is cut short: it is simply gone on with.
 */
export async function markPurged(database: Database, { instanceId, atOnce, now }: MarkPurged): Promise<number> {
  return database.transaction(async (tx) => {
    const next = await tx
      .select({ id: recoveryPoints.id })
      .from(recoveryPoints)
      .where(and(eq(recoveryPoints.instanceId, instanceId), isNull(recoveryPoints.sweepStartedAt)))
      .orderBy(recoveryPoints.id)
      .limit(atOnce)
      .for('update')
    if (next.length === 0) return 0
    await tx
      .update(recoveryPoints)
      .set({
        state: 'REMOVING',
        markedAt: sql`coalesce(${recoveryPoints.markedAt}, ${now.toISOString()}::timestamptz)`,
        markReason: 'Its backup instance was deleted.',
        sweepStartedAt: now,
      })
      // One parameter, however many ids there are.
      .where(sql`${recoveryPoints.id} = any(${`{${next.map(({ id }) => id).join(',')}}`}::text::uuid[])`)
    return next.length
  })
}
