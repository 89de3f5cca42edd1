import { describe, expect } from 'vitest'
import type { Cluster } from '../src/cluster/start.ts'
import type { WantedPart } from '../src/engine/archive/archive-part.ts'
import { stageRestore } from '../src/engine/stage-restore.ts'
import {
  type Archive,
  addressOf,
  archiveOf,
  connect,
  createDatabase,
  failureOf,
  installedTools,
  never,
  streamOf,
} from './kit/engine.ts'
import { test } from './kit/test.ts'

const shop = `
  create schema sales; create schema stock; create schema "odd ""schema""
- x";
  create extension citext schema public;
  create type sales.state as enum ('open', 'paid');
  create domain sales.amount as numeric check (value >= 0);
  create function sales.touch() returns trigger language plpgsql as $$ begin new.note := 'touched'; return new; end $$;
  create table stock.items (id int primary key, name citext not null);
  insert into stock.items select i, 'item ' || i from generate_series(1, 50) i;
  create table sales.customers (id int generated always as identity primary key, name text not null, friend int);
  create table sales.orders (
    id serial primary key, customer int not null references sales.customers (id), item int references stock.items (id),
    state sales.state not null default 'open', total sales.amount, note text,
    doubled numeric generated always as (total * 2) stored, check (total < 1000000));
  alter table sales.customers add constraint "best friend" foreign key (friend) references sales.customers (id);
  alter table sales.customers add column last_order int;
  alter table sales.customers add constraint last foreign key (last_order) references sales.orders (id) deferrable;
  create index "orders by state" on sales.orders (state) where note is not null;
  create statistics sales.together on customer, item from sales.orders;
  create trigger touch before insert on sales.orders for each row execute function sales.touch();
  alter table sales.orders enable row level security;
  create policy "only ""mine""" on sales.orders using (customer > 0);
  comment on table sales.orders is 'what was ordered';
  comment on column sales.orders.note is 'free text';
  comment on index sales."orders by state" is 'a partial one';
  grant select on sales.orders to public; grant select (note) on sales.orders to public;
  insert into sales.customers (name) select 'c' || i from generate_series(1, 20) i;
  insert into sales.orders (customer, item, total) select 1 + i % 20, 1 + i % 50, i from generate_series(1, 300) i;
  create view sales.open_orders as select * from sales.orders where state = 'open';
  create materialized view sales.totals as select customer, sum(total) from sales.orders group by 1;
  create unique index on sales.totals (customer);
  create view sales.stocked as select i.name from stock.items i;
  create table sales.events (at date not null, id int, primary key (at, id)) partition by range (at);
  create table sales.events_2025 partition of sales.events for values from ('2025-01-01') to ('2026-01-01');
  create table stock.events_2026 partition of sales.events for values from ('2026-01-01') to ('2027-01-01');
  create index on sales.events (id);
  insert into sales.events select date '2025-06-01' + i, i from generate_series(1, 400) i;
  create table "odd ""schema""
- x"."or" (id int primary key);
  create table "odd ""schema""
- x"."or
ders; -- 1" (id int primary key, up int references "odd ""schema""
- x"."or" (id));
  insert into "odd ""schema""
- x"."or" values (1); insert into "odd ""schema""
- x"."or
ders; -- 1" values (7, 1), (8, 1);
  create table stock.parent (id int); create table stock.child (extra int) inherits (stock.parent);
  insert into stock.child values (1, 2);
  select lo_from_bytea(0, 'a large object')`

const oddSchema = 'odd "schema"\n- x'

async function archiveOfShop(source: Cluster): Promise<Archive> {
  return archiveOf(source, await createDatabase(source, shop))
}

/** Restores a part into a database of its own and shows it to `look`. */
async function restored(cluster: Cluster, { bytes, source }: Archive, part: WantedPart) {
  const target = `part ${crypto.randomUUID()}`
  const request = {
    source,
    targetName: target,
    ownership: 'KEEP',
    tools: await installedTools(),
    signal: never,
  } as const
  const token = crypto.randomUUID().replaceAll('-', '')
  await using staged = await stageRestore(addressOf(cluster), { ...request, token, part, archive: streamOf(bytes) })
  await staged.publish()
  return { target, ...staged }
}

const tablesOf = (rows: { schema: string; name: string }[]) => rows.map(({ schema, name }) => `${schema}.${name}`)

describe('A part of an archive', () => {
  test('as one schema holds everything of the schema and what it needs, and no other rows', async ({ source }) => {
    const archive = await archiveOfShop(source)
    const { target, rows, omitted } = await restored(source, archive, { schemas: ['sales'], tables: [] })
    expect(tablesOf(rows.tables)).toEqual(['sales.customers', 'sales.events_2025', 'sales.orders', 'stock.events_2026'])
    expect(rows.tables.map((table) => table.rows)).toEqual([20, 213, 300, 187])
    expect(omitted.toSorted()).toEqual([
      'FK CONSTRAINT "sales"."orders orders_item_fkey" needs TABLE "stock"."items", which is not in the part: it was left out.',
      'VIEW "sales"."stocked" needs TABLE "stock"."items", which is not in the part: it was left out.',
    ])
    await using sql = connect(source, target)
    expect(await sql`select count(*)::int from sales.events`).toEqual([{ count: 400 }])
    expect(await sql`select count(*)::int from sales.totals`).toEqual([{ count: 20 }])
    expect(await sql`insert into sales.orders (customer, total) values (1, 5) returning id, note, doubled`).toEqual([
      { id: 301, note: 'touched', doubled: '10' },
    ])
    expect(await sql`insert into sales.customers (name) values ('new') returning id`).toEqual([{ id: 21 }])
    expect(await sql`select conname from pg_constraint where contype = 'f' and conparentid = 0 order by 1`).toEqual([
      { conname: 'best friend' },
      { conname: 'last' },
      { conname: 'orders_customer_fkey' },
    ])
  })

  test('as one table comes with its indexes, sequence, trigger, policy, comments and grants', async ({ source }) => {
    const archive = await archiveOfShop(source)
    const { target, rows, omitted } = await restored(source, archive, {
      schemas: [],
      tables: [{ schema: 'sales', name: 'orders' }],
    })
    expect(tablesOf(rows.tables)).toEqual(['sales.orders'])
    expect(omitted.toSorted()).toEqual([
      'FK CONSTRAINT "sales"."orders orders_customer_fkey" needs TABLE "sales"."customers", which is not in the part: it was left out.',
      'FK CONSTRAINT "sales"."orders orders_item_fkey" needs TABLE "stock"."items", which is not in the part: it was left out.',
    ])
    await using sql = connect(source, target)
    expect(await sql`insert into sales.orders (customer, total) values (1, 5) returning id, note`).toEqual([
      { id: 301, note: 'touched' },
    ])
    expect(
      await sql`select indexname, obj_description(format('sales.%I', indexname)::regclass) as comment
        from pg_indexes where schemaname = 'sales' order by 1`,
    ).toEqual([
      { indexname: 'orders by state', comment: 'a partial one' },
      { indexname: 'orders_pkey', comment: null },
    ])
    expect(await sql`select polname from pg_policy`).toEqual([{ polname: 'only "mine"' }])
    expect(await sql`select stxname from pg_statistic_ext`).toEqual([{ stxname: 'together' }])
    expect(
      await sql`select relrowsecurity, obj_description(oid) as comment, col_description(oid, 6) as note,
        has_table_privilege('public', oid, 'select') as granted from pg_class where relname = 'orders'`,
    ).toEqual([{ relrowsecurity: true, comment: 'what was ordered', note: 'free text', granted: true }])
  })

  test('as a partitioned table comes with its partitions, and a partition comes without its parent', async ({
    source,
  }) => {
    const archive = await archiveOfShop(source)
    const whole = await restored(source, archive, { schemas: [], tables: [{ schema: 'sales', name: 'events' }] })
    expect(tablesOf(whole.rows.tables)).toEqual(['sales.events_2025', 'stock.events_2026'])
    expect(whole.omitted).toEqual([])
    await using sql = connect(source, whole.target)
    expect(await sql`select count(*)::int from sales.events`).toEqual([{ count: 400 }])
    expect(
      await sql`select count(*)::int from pg_index where indisvalid`.then((rows) => rows[0]?.count),
    ).toBeGreaterThan(0)
    const one = await restored(source, archive, { schemas: [], tables: [{ schema: 'stock', name: 'events_2026' }] })
    expect(one.rows.tables).toMatchObject([{ schema: 'stock', name: 'events_2026', rows: 187 }])
    expect(one.omitted).toContain(
      'TABLE ATTACH "stock"."events_2026" needs TABLE "sales"."events", which is not in the part: it was left out.',
    )
  })

  test('is found by its exact name, whatever the name holds', async ({ source }) => {
    const archive = await archiveOfShop(source)
    const name = 'or\nders; -- 1'
    const { rows, omitted } = await restored(source, archive, { schemas: [], tables: [{ schema: oddSchema, name }] })
    expect(rows.tables).toMatchObject([{ schema: oddSchema, name, rows: 2 }])
    expect(omitted).toHaveLength(1)
    const both = await restored(source, archive, { schemas: [oddSchema], tables: [] })
    expect(both.rows.tables.map((table) => table.rows)).toEqual([1, 2])
    expect(both.omitted).toEqual([])
  })

  test('brings the extension and the type that its columns need', async ({ source }) => {
    const archive = await archiveOfShop(source)
    const { target } = await restored(source, archive, { schemas: ['stock'], tables: [] })
    await using sql = connect(source, target)
    expect(await sql`select count(*)::int from stock.items where name = 'ITEM 3'`).toEqual([{ count: 1 }])
  })

  test('that is not there, or cannot be made alone, is refused by name before anything is made', async ({ source }) => {
    const archive = await archiveOfShop(source)
    const missing = restored(source, archive, { schemas: ['nowhere'], tables: [{ schema: 'sales', name: 'Orders' }] })
    const failure = await failureOf(missing)
    expect(failure.code).toBe('PART_MISSING')
    expect(failure.message).toContain('schema "nowhere", table "sales"."Orders"')
    const child = restored(source, archive, { schemas: [], tables: [{ schema: 'stock', name: 'child' }] })
    const incomplete = await failureOf(child)
    expect(incomplete.code).toBe('PART_INCOMPLETE')
    expect(incomplete.details).toContain('TABLE "stock"."child" needs TABLE "stock"."parent"')
    await using sql = connect(source)
    expect(await sql`select datname from pg_database where datname like 'holdfast%'`).toEqual([])
  })
})
