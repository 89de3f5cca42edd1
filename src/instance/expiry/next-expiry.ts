import { type SQL, sql } from 'drizzle-orm'
import { backupInstances } from '../../database/tables/backup-instance.ts'

/** How long an instance with points is left without a look at its vault at most, ms. */
export const longestUnseenMs = 7 * 24 * 60 * 60_000

/**
 * When an instance whose points expire is to be looked at next, for its `expiryDueAt`: no later than it was to be already,
 * no later than the first end of a point that is not chosen for removal, and at once when bytes were being removed; never
 * later than a week from now while it has points.
 */
export function nextExpiry(now: Date): SQL<Date> {
  return sql`least(${backupInstances.expiryDueAt}, ${nextOf(sql`case when marked_at is null then expires_at when sweep_started_at is not null then marked_at end`, now)})`
}

/**
 * When an instance of which nothing expires is to be looked at next, for its `expiryDueAt`: a week from now, and at once
 * when bytes were being removed; never when it has no points.
 */
export function nextLook(now: Date): SQL<Date> {
  return nextOf(sql`case when sweep_started_at is not null then marked_at end`, now)
}

function nextOf(moment: SQL, now: Date): SQL<Date> {
  const latest = new Date(now.getTime() + longestUnseenMs).toISOString()
  return sql`(select least(min(${moment}), ${latest}::timestamptz)
    from recovery_points where recovery_points.instance_id = ${backupInstances.id} having count(*) > 0)`
}
