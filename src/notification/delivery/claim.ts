import { inArray, type SQL, sql } from 'drizzle-orm'
import type { Database } from '../../database/connect.ts'
import { notificationChannels, notificationDeliveries, notifications } from '../../database/tables/notification.ts'
import type { ChannelKind, NotificationChannel } from '../channel/channel.ts'
import { findChannels } from '../channel/find.ts'
import { findNotifications } from '../find.ts'
import type { Notification } from '../record.ts'
import type { NotificationDelivery } from './delivery.ts'
import { findDeliveries } from './find.ts'

/** A delivery that this process tries now, alone. */
export interface ClaimedDelivery {
  delivery: NotificationDelivery
  notification: Notification
  channel: NotificationChannel
}

/** Any number that no other program locks in this database. */
const claimLock = 7_305_804_385_371

/**
 * Claims deliveries that are due: of each channel the oldest one, and none while another of that channel is under way,
 * whichever process tries it. One whose process does not conclude it within the lease is due again. Where kinds of channels
 * are given, deliveries to channels of other kinds are left to others.
 */
export async function claimDeliveries(
  database: Database,
  { room, leaseMs, kinds }: { room: number; leaseMs: number; kinds?: readonly ChannelKind[] },
): Promise<ClaimedDelivery[]> {
  const isDue = dueTo(kinds)
  if (room < 1 || !(await isAnyDue(database, isDue))) return []
  const claimed = await database.transaction(async (tx) => {
    // Claims are made one after another; a statement of its own: the next one must see what the last claimer did.
    await tx.execute(sql`select pg_advisory_xact_lock(${claimLock})`)
    return tx.execute<{ id: string }>(sql`
      with chosen as (
        select id from (
          select distinct on (due.channel_id) due.id, due.next_attempt_at
          from ${notificationDeliveries} due join ${notifications} told on told.id = due.notification_id
          where ${isDue} and due.channel_id not in (${underWay})
          order by due.channel_id, due.created_at, told.sequence
        ) first_of_each
        order by next_attempt_at limit ${room}
      )
      update ${notificationDeliveries} set
        attempts = attempts + 1, last_attempt_at = ${stamp}, last_result = null,
        next_attempt_at = ${stamp} + ${leaseMs}::int * interval '1 millisecond'
      where id in (select d.id from ${notificationDeliveries} d where d.id in (select id from chosen) for update skip locked)
        and status = 'PENDING'
      returning id`)
  })
  return joined(
    database,
    claimed.map(({ id }) => id),
  )
}

const stamp = sql`date_trunc('milliseconds', statement_timestamp())`

/** Channels of which an attempt is under way. */
const underWay = sql`
  select channel_id from ${notificationDeliveries}
  where status = 'PENDING' and next_attempt_at > statement_timestamp() and last_attempt_at is not null and last_result is null`

function dueTo(kinds: readonly ChannelKind[] | undefined): SQL {
  const isDue = sql`due.status = 'PENDING' and due.next_attempt_at <= statement_timestamp()`
  if (!kinds) return isDue
  const ofKinds = sql`select id from ${notificationChannels} where ${inArray(notificationChannels.kind, [...kinds])}`
  return sql`${isDue} and due.channel_id in (${ofKinds})`
}

async function isAnyDue(database: Database, isDue: SQL): Promise<boolean> {
  const [row] = await database.execute<{ is_due: boolean }>(sql`
    select exists (select from ${notificationDeliveries} due where ${isDue}) as is_due`)
  return row?.is_due ?? false
}

/** What was deleted since it was claimed is left out. */
async function joined(database: Database, ids: readonly string[]): Promise<ClaimedDelivery[]> {
  const deliveries = await findDeliveries(database, ids)
  const told = await findNotifications(
    database,
    deliveries.map(({ notificationId }) => notificationId),
  )
  const channels = await findChannels(
    database,
    deliveries.map(({ channelId }) => channelId),
  )
  return deliveries.flatMap((delivery) => {
    const notification = told.find(({ id }) => id === delivery.notificationId)
    const channel = channels.find(({ id }) => id === delivery.channelId)
    return notification && channel ? [{ delivery, notification, channel }] : []
  })
}
