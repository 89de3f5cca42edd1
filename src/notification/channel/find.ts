import { inArray, sql } from 'drizzle-orm'
import type { Database } from '../../database/connect.ts'
import { keyset, type Page, type PageRequest, pageOf } from '../../database/page.ts'
import { notificationChannels, notificationDeliveries } from '../../database/tables/notification.ts'
import { wanted, wantedId } from '../../database/wanted.ts'
import type { NotificationChannel } from './channel.ts'

/** The channels with these ids, in any order; ids of none are left out. */
export async function findChannels(database: Database, ids: readonly string[]): Promise<NotificationChannel[]> {
  if (ids.length === 0) return []
  return database
    .select()
    .from(notificationChannels)
    .where(inArray(notificationChannels.id, [...ids]))
}

/** One page of all channels, newest first. */
export async function pageChannels(
  database: Database,
  { page }: { page: PageRequest },
): Promise<Page<NotificationChannel>> {
  const { where, orderBy, limit } = keyset({ at: notificationChannels.createdAt, id: notificationChannels.id }, page)
  const rows = await database
    .select()
    .from(notificationChannels)
    .where(where)
    .orderBy(...orderBy)
    .limit(limit)
  return pageOf(rows, page)
}

/** How many channels there are. */
export async function countChannels(database: Database): Promise<number> {
  return database.$count(notificationChannels)
}

/**
 * Since when each of many channels has been failing, by channel id: when the oldest delivery was made that was tried in
 * vain since the last one that arrived. Channels whose last delivery arrived, or was not tried yet, are left out.
 */
export async function findFailingSince(database: Database, channelIds: readonly string[]): Promise<Map<string, Date>> {
  if (channelIds.length === 0) return new Map()
  const ofChannel = sql`${notificationDeliveries.channelId} = ${wantedId}`
  const rows = await database.execute<{ id: string; since: string }>(sql`
    select wanted.id, to_char(failing.since at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') as since
    from ${wanted(channelIds)}
    cross join lateral (
      select min(${notificationDeliveries.createdAt}) as since from ${notificationDeliveries}
      where ${ofChannel} and ${notificationDeliveries.status} <> 'DELIVERED'
        and ${notificationDeliveries.lastAttemptAt} is not null
        and (${notificationDeliveries.lastResult} is not null or ${notificationDeliveries.attempts} > 1)
        and ${notificationDeliveries.createdAt} > coalesce((
          select max(arrived.created_at) from ${notificationDeliveries} arrived
          where arrived.channel_id = ${wantedId} and arrived.status = 'DELIVERED'), '-infinity')
    ) failing
    where failing.since is not null`)
  return new Map(rows.map(({ id, since }) => [id, new Date(since)]))
}
