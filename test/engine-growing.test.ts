import { once } from 'node:events'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import type { Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { describe, expect } from 'vitest'
import type { Cluster } from '../src/cluster/start.ts'
import { type GrowingArchive, growArchive } from '../src/engine/archive/growing-archive.ts'
import { readToc } from '../src/engine/archive/read-toc.ts'
import { stageRestore } from '../src/engine/stage-restore.ts'
import {
  type Archive,
  addressOf,
  archiveOf,
  connect,
  createDatabase,
  installedTools,
  never,
  run,
  streamOf,
} from './kit/engine.ts'
import { sourceServer } from './kit/source-server.ts'
import { test } from './kit/test.ts'
import { waitFor } from './kit/wait-for.ts'

/** A table that several connections share, many that they do not, and what builds on rows. */
const shop = `
  create table events (id int generated always as identity, at timestamptz, text text, primary key (id));
  insert into events (at, text) select now() - i * interval '1 second', repeat(md5(i::text), 4) || E'\\n\\t\\\\.' || i
    from generate_series(1, 150000) i;
  create index on events (at);
  create sequence apart start 41;
  select nextval('apart'), nextval('apart');
  create table customers (id int primary key, name text not null check (name <> ''));
  insert into customers select i, 'customer ' || i from generate_series(1, 2000) i;
  create table orders (id int primary key, customer int references customers, total numeric, note text);
  insert into orders select i, 1 + i % 2000, i * 1.5, case when i % 7 = 0 then null else E'line\\nline ' || i end
    from generate_series(1, 5000) i;
  do $$ begin for i in 1..40 loop execute format('create table small_%s as select %s as i, repeat(''x'', 3000) as wide', i, i); end loop; end $$;
  create table empty (i int);
  create table parts (i int, t text) partition by range (i);
  create table parts_low partition of parts for values from (0) to (500);
  create table parts_high partition of parts for values from (500) to (1000);
  insert into parts select i, md5(i::text) from generate_series(0, 999) i;
  create materialized view totals as select customer, sum(total) as total from orders group by customer;
  create function touch() returns trigger language plpgsql as $$ begin raise 'The trigger ran.'; end $$;
  create trigger touched before insert on orders for each row execute function touch();
  comment on table orders is 'what was ordered';
  create role growing_reader;
  grant select on orders to growing_reader;
  select lo_from_bytea(0, decode(repeat('00ff', 40000), 'hex')) from generate_series(1, 3)`

/** All that a restored database holds, in one line each. */
const contents = `
  select 'events ' || count(*) || ' ' || sum(hashtext(e::text)::bigint) as line from events e
  union all select 'orders ' || count(*) || ' ' || sum(hashtext(o::text)::bigint) from orders o
  union all select 'parts ' || count(*) || ' ' || sum(hashtext(p::text)::bigint) from parts p
  union all select 'totals ' || count(*) || ' ' || sum(hashtext(t::text)::bigint) from totals t
  union all select 'small ' || (select count(*) from small_1) || (select wide from small_40)
  union all select 'identity ' || (select last_value from events_id_seq) || ' ' || (select last_value from apart)
  union all select 'large objects ' || count(*) || ' ' || sum(length(lo_get(oid))) from pg_largeobject_metadata
  union all select 'indexes ' || string_agg(indexname, ' ' order by indexname) from pg_indexes where schemaname = 'public'
  union all select 'constraints ' || string_agg(conname, ' ' order by conname) from pg_constraint where conrelid <> 0
  union all select 'rest ' || obj_description('orders'::regclass) || ' ' || has_table_privilege('growing_reader', 'orders', 'select')
    || (select count(*) from pg_trigger where not tgisinternal)`

async function restoreGrowing(
  cluster: Cluster,
  { source, facts }: Archive,
  { archive, jobs }: { archive: GrowingArchive; jobs: number },
) {
  const targetName = `grown ${crypto.randomUUID()}`
  const staged = await stageRestore(addressOf(cluster), {
    archive: { archive, jobs, tables: facts.tables },
    source,
    targetName,
    token: crypto.randomUUID().replaceAll('-', ''),
    ownership: 'KEEP',
    tools: await installedTools(),
    signal: never,
  })
  await using _ = staged
  await staged.publish()
  return { targetName, staged }
}

async function grow(folder: string, bring: (sink: Writable, signal: AbortSignal) => Promise<void>) {
  return growArchive(await open(join(folder, crypto.randomUUID()), 'w+'), bring)
}

const temporaries = `select datname from pg_database where datname like 'holdfast_%'`

describe('An archive that grows while it is restored', () => {
  test.for([1, 2, 3])('comes back whole over %i connections', async (jobs, { source, folder }) => {
    const database = await createDatabase(source, shop.replaceAll('growing_reader', `reader_${jobs}`))
    const archive = await archiveOf(source, database)
    expect(archive.facts.tables.find(({ name }) => name === 'events')?.bytes).toBeGreaterThan(20_000_000)
    await using growing = await grow(folder, (sink, signal) => pipeline(streamOf(archive.bytes), sink, { signal }))
    const { targetName, staged } = await restoreGrowing(source, archive, { archive: growing, jobs })
    expect(staged.rows.tables).toEqual(
      archive.facts.tables.map((table) => expect.objectContaining({ name: table.name, rows: table.rows })),
    )
    const asked = contents.replaceAll('growing_reader', `reader_${jobs}`)
    expect(await run(source, targetName, asked)).toEqual(await run(source, database, asked))
  })

  test('has its rows loaded before it is whole, and leaves nothing behind when it then turns out damaged', async ({
    source,
    folder,
  }) => {
    const archive = await archiveOf(
      source,
      await createDatabase(
        source,
        `create table first as select i from generate_series(1, 10) i; create table second as select repeat('y', 200000) as t`,
      ),
    )
    const damage = new Error('The last byte is another one.')
    await using watcher = connect(source)
    await using growing = await grow(folder, async (sink) => {
      if (!sink.write(archive.bytes.subarray(0, -100_000))) await once(sink, 'drain')
      await waitFor('the rows of the first table', async () => {
        const [temporary] = await watcher.unsafe(temporaries)
        if (!temporary) return false
        const [row] = await run(source, temporary.datname, 'select count(*)::int from first').catch(() => [])
        return row?.count === 10
      })
      throw damage
    })
    await expect(restoreGrowing(source, archive, { archive: growing, jobs: 2 })).rejects.toBe(damage)
    expect(await watcher.unsafe(temporaries)).toEqual([])
  })

  test('stops coming when the target refuses what is in it', async ({ source, folder }) => {
    const archive = await archiveOf(
      source,
      await createDatabase(
        source,
        `create table filler as select repeat('y', 200000) as t; create table t (i int); insert into t values (1); create function refuse(i int) returns boolean language sql as 'select true'; alter table t add check (refuse(i)); create or replace function refuse(i int) returns boolean language sql as 'select 1 / (i - 1) = 0'`,
      ),
    )
    let stoppedWith: unknown
    await using growing = await grow(folder, async (sink, signal) => {
      sink.write(archive.bytes)
      await once(signal, 'abort')
      stoppedWith = signal.reason
      throw signal.reason
    })
    const failure = await restoreGrowing(source, archive, { archive: growing, jobs: 2 }).catch(
      (cause: unknown) => cause,
    )
    expect(failure).toMatchObject({ code: 'RESTORE_FAILED', details: expect.stringContaining('division by zero') })
    expect(stoppedWith).toBe(failure)
  })

  test('stops coming also while the connection that failed has nothing more to load for now', async ({
    source,
    folder,
  }) => {
    const archive = await archiveOf(
      source,
      await createDatabase(
        source,
        `create function refuse(i int) returns boolean language sql as 'select true'; create table aaa as select repeat('x', 200000) as t; create table bad (i int check (refuse(i))); insert into bad values (1); create table late as select repeat('y', 200000) as t; create or replace function refuse(i int) returns boolean language sql as 'select false'`,
      ),
    )
    await using growing = await grow(folder, async (sink, signal) => {
      sink.write(archive.bytes.subarray(0, -200_000))
      await once(signal, 'abort')
      throw signal.reason
    })
    await expect(restoreGrowing(source, archive, { archive: growing, jobs: 1 })).rejects.toMatchObject({
      code: 'RESTORE_FAILED',
      details: expect.stringContaining('violates check constraint'),
    })
  })

  test('has its indexes built with what memory the server can spare, shared by those that build at once', async ({
    folder,
  }) => {
    await using server = await sourceServer({ settings: { shared_buffers: '1GB', maintenance_work_mem: '48MB' } })
    const contents = `create materialized view settings as select current_setting('maintenance_work_mem') as memory`
    const archive = await archiveOf(server, await createDatabase(server, contents))
    for (const [jobs, memory] of [
      [1, '256MB'],
      [2, '128MB'],
      [8, '48MB'],
    ] as const) {
      await using growing = await grow(folder, (sink, signal) => pipeline(streamOf(archive.bytes), sink, { signal }))
      const { targetName } = await restoreGrowing(server, archive, { archive: growing, jobs })
      expect(await run(server, targetName, 'select memory from settings')).toEqual([{ memory }])
    }
  })

  test('has the server ask after connections that wait for their rows', async ({ source, folder }) => {
    const contents = `create materialized view settings as
      select name, setting from pg_settings where name in ('tcp_keepalives_idle', 'tcp_keepalives_interval')`
    const archive = await archiveOf(source, await createDatabase(source, contents))
    await using growing = await grow(folder, (sink, signal) => pipeline(streamOf(archive.bytes), sink, { signal }))
    const { targetName } = await restoreGrowing(source, archive, { archive: growing, jobs: 2 })
    expect(await run(source, targetName, 'select * from settings order by name')).toEqual([
      { name: 'tcp_keepalives_idle', setting: '60' },
      { name: 'tcp_keepalives_interval', setting: '10' },
    ])
  })

  test('of an unknown layout is left to pg_restore once it is whole', async ({ source, folder }) => {
    const archive = await archiveOf(source, await createDatabase(source, 'create table t as select 1 as i'))
    const odd = Buffer.from(archive.bytes)
    odd.writeUInt8(9, readToc(odd)?.sizeBytes ?? 0)
    await using growing = await grow(folder, (sink, signal) => pipeline(streamOf(odd), sink, { signal }))
    await expect(restoreGrowing(source, archive, { archive: growing, jobs: 2 })).rejects.toMatchObject({
      code: 'ARCHIVE_UNREADABLE',
    })
  })
})
