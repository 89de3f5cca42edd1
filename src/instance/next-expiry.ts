import { type SQL, sql } from 'drizzle-orm'
import { backupInstances } from '../database/tables/backup-instance.ts'

/**
 * When an instance whose points expire is to be looked at next, for its `expiryDueAt`: no later than it was to be already,
 * no later than its first point's end, and at once when points are on their way out.
 */
export const nextExpiry: SQL<Date> = sql`least(${backupInstances.expiryDueAt}, (
  select min(case when marked_at is null then expires_at else marked_at end)
  from recovery_points where recovery_points.instance_id = ${backupInstances.id}))`
