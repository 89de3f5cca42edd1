import { asc, type SQL, sql } from 'drizzle-orm'
import type { PgColumn, PgTable } from 'drizzle-orm/pg-core'
import type { Database } from './connect.ts'
import { feedEpochs } from './tables/feed-epoch.ts'

/** A place in a feed that many transactions write to: everything up to and with it has been seen. */
export interface FeedCursor {
  transactionId: bigint
  id: bigint
  /** Which life of the database it is of, as feedEpochOf answers; left out for the first. */
  epoch?: string
}

/** What a feed is kept in: its order is that of the writing transactions, then of the ids. */
export interface Feed {
  table: PgTable
  transactionId: PgColumn
  id: PgColumn
}

/** What can be read of a feed now, and how. */
export interface FeedWindow {
  /** What to add to the query's own conditions. */
  where: SQL
  orderBy: SQL[]
  /** Where to go on when everything in the window was read. */
  end: FeedCursor
  /** Whether rows exist that cannot be given yet, because a transaction that may come before them is open. */
  isHeldUp: boolean
}

export const feedStart: FeedCursor = { transactionId: 0n, id: 0n }

/** The cursor as opaque text; `feed` marks it as one of that feed, by a few letters. */
export function encodeFeedCursor({ transactionId, id, epoch = '' }: FeedCursor, feed = ''): string {
  return Buffer.from(`${feed}${transactionId}.${id}${epoch && `.${epoch}`}`).toString('base64url')
}

const greatestTransactionId = 2n ** 64n - 1n
const greatestId = 2n ** 63n - 1n

/** The cursor that the text was made of; undefined for any text that `encodeFeedCursor` did not make for that feed. */
export function decodeFeedCursor(text: string, feed = ''): FeedCursor | undefined {
  if (text.length > 64) return undefined
  const [, transaction, row, epoch] =
    /^[a-z]*(\d{1,20})\.(\d{1,19})(?:\.([0-9a-f]{8}))?$/.exec(Buffer.from(text, 'base64url').toString('latin1')) ?? []
  if (transaction === undefined || row === undefined) return undefined
  const cursor = { transactionId: BigInt(transaction), id: BigInt(row), ...(epoch !== undefined && { epoch }) }
  if (cursor.transactionId > greatestTransactionId || cursor.id > greatestId) return undefined
  return encodeFeedCursor(cursor, feed) === text ? cursor : undefined
}

/**
 * Whether a cursor is one of this database: of its present life, not of one before a recovery, and of no transaction that is
 * still to come.
 */
export async function isOfThisDatabase(database: Database, cursor: FeedCursor): Promise<boolean> {
  const { transactionId, epoch = '' } = cursor
  if (epoch !== (await feedEpochOf(database))) return false
  const [row] = await database.execute<{ is_of_this: boolean }>(
    sql`select ${transactionId.toString()}::xid8 <= pg_snapshot_xmax(pg_current_snapshot()) as is_of_this`,
  )
  return row?.is_of_this === true
}

const epochs = new WeakMap<Database, Promise<string>>()

/** What tells the cursors of this life of the database from those of before a recovery; empty in its first. Asked once. */
export async function feedEpochOf(database: Database): Promise<string> {
  const known = epochs.get(database) ?? findEpoch(database)
  epochs.set(database, known)
  try {
    return await known
  } catch (error) {
    epochs.delete(database)
    throw error
  }
}

async function findEpoch(database: Database): Promise<string> {
  const [row] = await database.select().from(feedEpochs)
  return row?.epoch ?? ''
}

/** The oldest transaction that is still open: what it and later ones wrote is not given yet. */
const feedEdge = sql`pg_snapshot_xmin(pg_current_snapshot())`

/** Where every feed stands now: what is read after it is new. */
export async function findFeedEnd(database: Database): Promise<FeedCursor> {
  return { transactionId: (await findEdge(database, sql`false`)).edge, id: 0n }
}

/**
 * What can be read of a feed after a cursor: cut off below the oldest transaction still open, so that what is committed
 * late is never skipped. The rows are to be read in a statement of their own after this one.
 */
export async function openFeed(
  database: Database,
  { table, transactionId, id }: Feed,
  after: FeedCursor,
): Promise<FeedWindow> {
  const isAfter = sql`(${transactionId}, ${id}) > (${after.transactionId.toString()}::xid8, ${after.id.toString()}::bigint)`
  // The edge is taken first: whatever is below it had ended by then, so the next statement sees all of it.
  const held = sql`exists (select from ${table} where ${isAfter} and ${transactionId} >= ${feedEdge})`
  const { edge, isHeldUp } = await findEdge(database, held)
  return {
    where: sql`${isAfter} and ${transactionId} < ${edge.toString()}::xid8`,
    orderBy: [asc(transactionId), asc(id)],
    end: laterOf(after, { transactionId: edge, id: 0n }),
    isHeldUp,
  }
}

async function findEdge(database: Database, held: SQL): Promise<{ edge: bigint; isHeldUp: boolean }> {
  const [row] = await database.execute<{ edge: string; is_held_up: boolean }>(
    sql`select ${feedEdge}::text as edge, ${held} as is_held_up`,
  )
  if (!row) throw new Error('The database did not say where the feed stands.')
  return { edge: BigInt(row.edge), isHeldUp: row.is_held_up }
}

/** A cursor never goes back. */
function laterOf(one: FeedCursor, other: FeedCursor): FeedCursor {
  const isLater =
    one.transactionId > other.transactionId || (one.transactionId === other.transactionId && one.id > other.id)
  return isLater ? one : other
}
