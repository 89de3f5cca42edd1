import { and, eq, gte, inArray, type SQL } from 'drizzle-orm'
import type { Database } from '../database/connect.ts'
import { keyset, type Page, type PageRequest, pageOf } from '../database/page.ts'
import { notifications } from '../database/tables/notification.ts'
import type { Notification, NotificationKind, NotificationSeverity } from './record.ts'

/** Which notifications; what is left out does not matter, an empty list matches none. */
export interface NotificationFilter {
  kinds?: readonly NotificationKind[]
  severities?: readonly NotificationSeverity[]
  instanceId?: string
  /** From this moment on. */
  since?: Date
}

/** The notifications with these ids, in any order; ids of none are left out. */
export async function findNotifications(database: Database, ids: readonly string[]): Promise<Notification[]> {
  if (ids.length === 0) return []
  return database
    .select()
    .from(notifications)
    .where(inArray(notifications.id, [...ids]))
}

/** One page of the matching notifications, newest first. */
export async function pageNotifications(
  database: Database,
  { filter = {}, page }: { filter?: NotificationFilter; page: PageRequest },
): Promise<Page<Notification>> {
  const { where, orderBy, limit } = keyset({ at: notifications.at, id: notifications.id }, page)
  const rows = await database
    .select()
    .from(notifications)
    .where(and(notificationsMatching(filter), where))
    .orderBy(...orderBy)
    .limit(limit)
  return pageOf(rows, page)
}

/** How many notifications match. */
export async function countNotifications(database: Database, filter: NotificationFilter = {}): Promise<number> {
  return database.$count(notifications, notificationsMatching(filter))
}

function notificationsMatching({ kinds, severities, instanceId, since }: NotificationFilter): SQL | undefined {
  return and(
    kinds && inArray(notifications.kind, [...kinds]),
    severities && inArray(notifications.severity, [...severities]),
    instanceId !== undefined ? eq(notifications.instanceId, instanceId) : undefined,
    since && gte(notifications.at, since),
  )
}
