import { type SQL, sql } from 'drizzle-orm'
import { backupInstances } from '../../database/tables/backup-instance.ts'

/**
 * When an instance whose points expire is to be looked at next, for its `expiryDueAt`: no later than it was to be already,
 * no later than the first end of a point that is not chosen for removal, and at once when bytes were being removed.
 */
export const nextExpiry: SQL<Date> = sql`least(${backupInstances.expiryDueAt}, (
  select min(case when marked_at is null then expires_at when sweep_started_at is not null then marked_at end)
  from recovery_points where recovery_points.instance_id = ${backupInstances.id}))`
