import type { Database } from '../database/connect.ts'
import {
  decodeFeedCursor,
  encodeFeedCursor,
  type FeedCursor,
  feedEpochOf,
  feedStart,
  openFeed,
} from '../database/feed.ts'
import { feedRests, follow } from '../database/follow.ts'
import type { Listener } from '../database/listen.ts'
import { notifications } from '../database/tables/notification.ts'
import { type Notification, notificationsChannel } from './record.ts'

/** How often the database is asked although no hint came: those may be lost, ms. */
const pollMs = 3_000
const pageSize = 100
const feedMark = 'n'
const feed = { table: notifications, transactionId: notifications.transactionId, id: notifications.sequence }

export interface NotificationFeedPage {
  notifications: Notification[]
  /** Where to go on. */
  cursor: FeedCursor
  isFull: boolean
  /** Whether there are some that cannot be given yet, because a transaction that may come before them is open. */
  isHeldUp: boolean
}

/** The place of a notification in the feed, as opaque text. */
export async function notificationCursor(database: Database, notification: Notification): Promise<string> {
  return encodeFeedCursor({ ...placeOf(notification), epoch: await feedEpochOf(database) }, feedMark)
}

/** The place that a cursor names; undefined for any text that is no cursor of this feed. */
export function notificationPlace(cursor: string): FeedCursor | undefined {
  return decodeFeedCursor(cursor, feedMark)
}

/** Reads the notifications after a place in the feed's order; none that is committed late is ever skipped. */
export async function readNotifications(
  database: Database,
  { after = feedStart, limit }: { after?: FeedCursor; limit: number },
): Promise<NotificationFeedPage> {
  const window = await openFeed(database, feed, after)
  const read = await database
    .select()
    .from(notifications)
    .where(window.where)
    .orderBy(...window.orderBy)
    .limit(limit)
  const last = read.at(-1)
  const isFull = read.length === limit
  const cursor = isFull && last ? placeOf(last) : window.end
  return { notifications: read, cursor, isFull, isHeldUp: window.isHeldUp }
}

/**
 * Every notification after the place: first those that are there, then each as it comes, in feed order and without gaps,
 * across outages of the database. Ends when it is returned, and is then free of everything.
 */
export function watchNotifications(
  database: Database,
  listener: Pick<Listener, 'subscribe'>,
  { after }: { after: FeedCursor },
): AsyncIterableIterator<Notification, undefined> {
  let cursor = after
  const restAfter = feedRests(pollMs)
  return follow({
    signal: undefined,
    subscribe: (onHint) => listener.subscribe(notificationsChannel, onHint),
    async look() {
      const page = await readNotifications(database, { after: cursor, limit: pageSize })
      cursor = page.cursor
      return { items: page.notifications, restMs: restAfter(page), isLast: false }
    },
  })
}

function placeOf({ transactionId, sequence }: Notification): FeedCursor {
  return { transactionId, id: sequence }
}
