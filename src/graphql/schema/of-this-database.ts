import type { Database } from '../../database/connect.ts'
import { type FeedCursor, isOfThisDatabase } from '../../database/feed.ts'
import { badUserInput } from './bad-user-input.ts'

/** Refuses a place in a feed that this database has not come to, as one from before a recovery: nothing would ever follow it. */
export async function requireOfThisDatabase(database: Database, place: FeedCursor): Promise<FeedCursor> {
  if (await isOfThisDatabase(database, place)) return place
  throw badUserInput(
    '`after`: this cursor is of another database, as one from before a recovery: begin without a cursor.',
  )
}
