import { randomBytes } from 'node:crypto'
import type postgres from 'postgres'
import { quote } from './copy/format.ts'

/**
 * What belongs to the server that the rows were written on means nothing on this one: the numbers of transactions, by which
 * feeds are in order, begin anew, with all that is there before them, and cursors of before are told by another epoch;
 * sequences go on after the greatest number in use. In the transaction that the connection is in.
 */
export async function beginAnew(sql: postgres.Sql): Promise<void> {
  const stamps = await sql<{ table: string; column: string }[]>`
    select c.relname as table, a.attname as column from pg_attribute a join pg_class c on c.oid = a.attrelid
    where c.relkind = 'r' and c.relnamespace = 'public'::regnamespace and a.atttypid = 'xid8'::regtype and not a.attisdropped`
  // 3 is the first number that any server gives to a transaction.
  for (const { table, column } of stamps) await sql.unsafe(`update ${quote(table)} set ${quote(column)} = '3'`)
  await continueSequences(sql)
  await renewEpoch(sql)
}

/** Gives the feeds another epoch; nothing happens in tables of a version that has none, or with `isFirst` where there is one. */
export async function renewEpoch(sql: postgres.Sql, { isFirst = false } = {}): Promise<void> {
  const [known] = await sql<{ exists: boolean }[]>`select to_regclass('public.feed_epochs') is not null as exists`
  if (!known?.exists) return
  const epoch = randomBytes(4).toString('hex')
  await sql`insert into feed_epochs (epoch) values (${epoch})
    on conflict (id) do update set epoch = case when ${isFirst} then feed_epochs.epoch else excluded.epoch end`
}

/** Whether a feed holds what no transaction of this server can have written yet: the tables were brought from another one. */
export async function isFromAnotherServer(sql: postgres.Sql): Promise<boolean> {
  const [found] = await sql<{ is_ahead: boolean }[]>`
    select exists (select from job_events where transaction_id >= pg_snapshot_xmax(pg_current_snapshot()))
      or exists (select from notifications where transaction_id >= pg_snapshot_xmax(pg_current_snapshot())) as is_ahead`
  return found?.is_ahead === true
}

async function continueSequences(sql: postgres.Sql): Promise<void> {
  const sequences = await sql<{ sequence: string; table: string; column: string }[]>`
    select s.oid::regclass::text as sequence, c.relname as table, a.attname as column
    from pg_class s join pg_depend d on d.objid = s.oid and d.classid = 'pg_class'::regclass and d.deptype in ('a', 'i')
    join pg_class c on c.oid = d.refobjid join pg_attribute a on a.attrelid = c.oid and a.attnum = d.refobjsubid
    where s.relkind = 'S' and c.relnamespace = 'public'::regnamespace`
  for (const { sequence, table, column } of sequences) {
    await sql.unsafe(
      `select setval('${sequence.replaceAll("'", "''")}', greatest(max(${quote(column)}), 1), max(${quote(column)}) is not null) from ${quote(table)}`,
    )
  }
}
