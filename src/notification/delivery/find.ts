import { and, asc, count, inArray, sql } from 'drizzle-orm'
import type { Database } from '../../database/connect.ts'
import { keyset, type Page, type PageRequest, pageOf } from '../../database/page.ts'
import { notificationChannels, notificationDeliveries } from '../../database/tables/notification.ts'
import { wanted, wantedId } from '../../database/wanted.ts'
import type { NotificationDelivery } from './delivery.ts'

/** The deliveries with these ids, in any order; ids of none are left out. */
export async function findDeliveries(database: Database, ids: readonly string[]): Promise<NotificationDelivery[]> {
  if (ids.length === 0) return []
  return database
    .select()
    .from(notificationDeliveries)
    .where(inArray(notificationDeliveries.id, [...ids]))
}

/** The deliveries of each of many notifications, by notification id, oldest channel first. */
export async function findDeliveriesOfNotifications(
  database: Database,
  notificationIds: readonly string[],
): Promise<Map<string, NotificationDelivery[]>> {
  if (notificationIds.length === 0) return new Map()
  // One look-up in the index for each pair: there are few channels, and very many deliveries.
  const rows = await database
    .select({ delivery: notificationDeliveries })
    .from(wanted(notificationIds))
    .crossJoin(notificationChannels)
    .innerJoin(
      notificationDeliveries,
      sql`${notificationDeliveries.channelId} = ${notificationChannels.id} and ${notificationDeliveries.notificationId} = ${wantedId}`,
    )
    .orderBy(asc(notificationChannels.createdAt), asc(notificationChannels.id))
  return Map.groupBy(
    rows.map((row) => row.delivery),
    (delivery) => delivery.notificationId,
  )
}

/** The same page of the deliveries of each of many channels, newest first, by channel id. */
export async function pageDeliveriesOf(
  database: Database,
  { channelIds, page }: { channelIds: readonly string[]; page: PageRequest },
): Promise<Map<string, Page<NotificationDelivery>>> {
  if (channelIds.length === 0) return new Map()
  const { createdAt, id } = notificationDeliveries
  const { where, orderBy, limit } = keyset({ at: createdAt, id }, page)
  const part = database
    .select()
    .from(notificationDeliveries)
    .where(and(sql`${notificationDeliveries.channelId} = ${wantedId}`, where))
    .orderBy(...orderBy)
    .limit(limit)
    .as('part')
  const rows = await database
    .select()
    .from(wanted(channelIds))
    .innerJoinLateral(part, sql`true`)
    .orderBy(...keyset({ at: part.createdAt, id: part.id }, page).orderBy)
  const found = Map.groupBy(
    rows.map((row) => row.part),
    (delivery) => delivery.channelId,
  )
  return new Map(channelIds.map((channelId) => [channelId, pageOf(found.get(channelId) ?? [], page)]))
}

/** How many deliveries each of many channels has, by channel id. */
export async function countDeliveriesOf(
  database: Database,
  channelIds: readonly string[],
): Promise<Map<string, number>> {
  if (channelIds.length === 0) return new Map()
  const rows = await database
    .select({ id: notificationDeliveries.channelId, count: count() })
    .from(notificationDeliveries)
    .where(inArray(notificationDeliveries.channelId, [...channelIds]))
    .groupBy(notificationDeliveries.channelId)
  return new Map(rows.map((row) => [row.id, row.count]))
}
