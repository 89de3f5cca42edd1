import { readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect } from 'vitest'
import type { Cluster } from '../src/cluster/start.ts'
import { recoveryPoints } from '../src/database/tables/recovery-point.ts'
import { cancelJob } from '../src/instance/cancel-job.ts'
import { ownershipOf } from '../src/restore/ownership.ts'
import { restoreReportOf } from '../src/restore/restore.ts'
import type { Manifest } from '../src/worker/point/manifest.ts'
import { neededRoles } from '../src/worker/restore/needed-roles.ts'
import { backedUp, databasesOf, startRestore } from './kit/backed-up.ts'
import { connect, run } from './kit/engine.ts'
import { actor, firstFailure, startService } from './kit/protected-server.ts'
import { smallDisk } from './kit/small-disk.ts'
import { sourceServer } from './kit/source-server.ts'
import { test } from './kit/test.ts'
import { waitFor } from './kit/wait-for.ts'

const shop = `
  create role clerk; create schema sales authorization clerk;
  create extension citext; create extension pageinspect;
  create table sales.customers (id int generated always as identity primary key, name citext, best int);
  create table sales.orders (
    id serial primary key, customer int references sales.customers (id), total numeric check (total > 0),
    doubled numeric generated always as (total * 2) stored);
  alter table sales.customers add foreign key (best) references sales.orders (id) deferrable;
  insert into sales.customers (name) select 'c' || i from generate_series(1, 50) i;
  insert into sales.orders (customer, total) select 1 + i % 50, i from generate_series(1, 5000) i;
  create table sales.events (at int, id int, primary key (at, id)) partition by range (at);
  create table sales.events_low partition of sales.events for values from (0) to (500);
  create table sales.events_high partition of sales.events for values from (500) to (1000);
  insert into sales.events select i % 1000, i from generate_series(1, 4000) i;
  create materialized view sales.totals as select customer, sum(total) from sales.orders group by 1;
  create table "or
ders; -- ""x""" as select generate_series(1, 7) as i;
  alter table sales.orders enable row level security;
  create policy mine on sales.orders to clerk using (customer = 1);
  create function noticed() returns event_trigger language plpgsql as $$ begin end $$;
  create event trigger notice on ddl_command_start execute function noticed();
  grant select on sales.orders to clerk;
  select lo_from_bytea(0, 'one'), lo_from_bytea(0, 'two')`

/** Its index takes as long to build as is asked for, and no byte moves meanwhile. */
const slow = (seconds: number) => `
  create function slowly(i int) returns int immutable language plpgsql as
    $$ begin perform pg_sleep(${seconds / 10}); return i; end $$;
  create table other as select generate_series(1, 20) as i;
  create table numbers (i int);
  create index on numbers (slowly(i));
  alter table numbers disable trigger all`

async function sourceWith(name: string, statements: string): Promise<Cluster> {
  const source = await sourceServer()
  await run(source, 'postgres', `create database "${name}"`)
  await run(source, name, statements)
  return source
}

/** A source whose restore stays at an index for some seconds. */
async function slowSource(seconds: number): Promise<Cluster> {
  const source = await sourceWith('slow', slow(seconds))
  // Filled behind the index's back, so that the source itself does not wait for it.
  await run(source, 'slow', 'drop index numbers_slowly_idx; insert into numbers select generate_series(1, 10)')
  await run(
    source,
    'slow',
    'create or replace function slowly(i int) returns int immutable language sql as $$ select i $$',
  )
  await run(source, 'slow', 'create index on numbers (slowly(i))')
  await run(
    source,
    'slow',
    `create or replace function slowly(i int) returns int immutable language plpgsql as
      $$ begin perform pg_sleep(${seconds / 10}); return i; end $$`,
  )
  return source
}

describe('a restore over several connections', { timeout: 120_000 }, () => {
  test('brings back everything, compares it, and leaves nothing in the spool', async ({ databaseUrl, folder }) => {
    await using source = await sourceWith('shop', shop)
    await using target = await sourceServer()
    await using service = await startService({ databaseUrl, folder }, { restoreJobs: 3 })
    const point = await backedUp(service, source, folder)
    const ended = await service.ended((await startRestore(service, { point, target })).id)
    expect(ended).toMatchObject({ status: 'COMPLETED', error: null, warnings: [] })
    expect(restoreReportOf(ended)).toMatchObject({
      rolesCreated: ['clerk'],
      databases: [{ name: 'shop', rowCount: 50 + 5000 + 4000 + 7 }],
      differences: [],
      omitted: ['Database "postgres" holds nothing and was left out.'],
      warnings: [],
    })
    expect(ended.bytesDone).toBe(ended.bytesTotal)
    expect(await readdir(join(folder, 'spool'))).toEqual([])
    await using sql = connect(target, 'shop')
    expect(await sql`insert into sales.orders (customer, total) values (1, 5) returning id, doubled`).toEqual([
      { id: 5001, doubled: '10' },
    ])
    expect(
      await sql`select (select count(*)::int from sales.totals) as totals, (select count(*)::int from pg_policy) as policies,
        (select count(*)::int from pg_event_trigger) as triggers, (select count(*)::int from pg_largeobject_metadata) as objects,
        (select count(*)::int from pg_constraint where contype = 'f') as keys,
        (select tableowner from pg_tables where tablename = 'orders') as owner`,
    ).toEqual([{ totals: 50, policies: 1, triggers: 1, objects: 2, keys: 2, owner: source.superuser }])
  })

  test.runIf(process.getuid?.() === 0)(
    'goes on over one where the spool has no room',
    async ({ databaseUrl, folder }) => {
      await using source = await sourceWith('shop', shop)
      await using target = await sourceServer()
      await using disk = await smallDisk(folder, 1)
      const settings = { restoreJobs: 2, spoolDirectory: disk.path }
      await using service = await startService({ databaseUrl, folder }, settings)
      const point = await backedUp(service, source, folder)
      const ended = await service.ended((await startRestore(service, { point, target })).id)
      expect(ended).toMatchObject({ status: 'COMPLETED', error: null })
      expect(ended.notes).toContainEqual({ name: 'Spool', value: expect.stringContaining('has no room') })
      expect(await run(target, 'shop', 'select count(*)::int from sales.orders')).toEqual([{ count: 5000 }])
    },
  )

  test('goes by what the server does while no byte moves, and can be cancelled there', async ({
    databaseUrl,
    folder,
  }) => {
    await using source = await slowSource(8)
    await using target = await sourceServer()
    await using service = await startService({ databaseUrl, folder }, { noProgressMs: 5000 })
    const point = await backedUp(service, source, folder)
    const whole = await startRestore(service, { point, target })
    expect(await service.ended(whole.id, { withinMs: 60_000 })).toMatchObject({ status: 'COMPLETED', error: null })
    await run(target, 'postgres', 'drop database slow')
    const cancelled = await startRestore(service, { point, target })
    await waitFor('the index that takes long', async () => (await indexBuilds(target)) > 0)
    await cancelJob(service.database, { jobId: cancelled.id, actor, now: new Date() })
    expect(await service.ended(cancelled.id)).toMatchObject({ status: 'CANCELLED' })
    expect(await databasesOf(target)).toEqual([])
  })

  test('that is cancelled is CANCELLED however long its databases take to drop', async ({ databaseUrl, folder }) => {
    // Longer than anything here takes: cancelling ends it.
    await using source = await slowSource(100)
    await run(source, 'postgres', 'create database another')
    await using target = await sourceServer()
    await using service = await startService({ databaseUrl, folder }, { graceMs: 1 })
    const point = await backedUp(service, source, folder)
    const databases = [
      { name: 'another', targetName: 'another' },
      { name: 'slow', targetName: 'slow' },
    ]
    const { id } = await startRestore(service, { point, target, databases })
    await waitFor('the index that takes long', async () => (await indexBuilds(target)) > 0)
    await using holder = connect(target)
    const names = await databasesOf(target)
    expect(names).toHaveLength(2)
    // Nobody can drop them while this transaction lasts.
    await holder.unsafe(`begin; comment on database ${names[0]} is 'held'; comment on database ${names[1]} is 'held'`)
    await cancelJob(service.database, { jobId: id, actor, now: new Date() })
    await waitFor('a drop that waits', async () => (await waitingDrops(target)) > 0)
    await holder.unsafe('rollback')
    expect(await service.ended(id, { withinMs: 60_000 })).toMatchObject({
      status: 'CANCELLED',
      error: null,
      warnings: [],
    })
    expect(await databasesOf(target)).toEqual([])
  })

  test('whose rows differ fails, names every difference in its report, and leaves nothing', async ({
    databaseUrl,
    folder,
  }) => {
    await using source = await slowSource(10)
    await run(source, 'slow', 'create role clerk; grant select on other to clerk')
    await using target = await sourceServer()
    await using service = await startService({ databaseUrl, folder })
    const point = await backedUp(service, source, folder)
    const job = await startRestore(service, { point, target })
    const name = await waitFor('the index that takes long', async () =>
      (await indexBuilds(target)) > 0 ? (await databasesOf(target))[0] : undefined,
    )
    await run(target, name, 'delete from other where i > 15; create table uninvited as select 1 as i')
    const ended = await service.ended(job.id, { withinMs: 60_000 })
    expect(ended).toMatchObject({ status: 'FAILED', error: { code: 'ROWS_DIFFER' } })
    expect(ended.warnings).toEqual(['Roles that were created for the restore are still there: clerk.'])
    expect(restoreReportOf(ended)?.differences).toEqual([
      {
        database: 'slow',
        subject: '"public"."other"',
        expected: 20,
        actual: 15,
        message: 'Table "public"."other" has 15 rows instead of 20.',
      },
      {
        database: 'slow',
        subject: '"public"."uninvited"',
        expected: null,
        actual: 1,
        message: 'Table "public"."uninvited" with 1 rows was not in the backup.',
      },
    ])
    expect(await databasesOf(target)).toEqual([])
  })
})

describe('the roles of a restore that keeps owners', { timeout: 60_000 }, () => {
  test('are those that it needs alone, none of them past the guards of the server', async ({ databaseUrl, folder }) => {
    await using source = await sourceWith(
      'shop',
      `create role team nologin; create role owner login superuser in role team; create role idle superuser login;
       create table goods as select generate_series(1, 5) as i; alter table goods owner to owner`,
    )
    await run(source, 'postgres', 'create database other owner idle')
    await using target = await sourceServer()
    await using service = await startService({ databaseUrl, folder })
    const point = await backedUp(service, source, folder)
    const databases = [{ name: 'shop', targetName: 'shop' }]
    const ended = await service.ended((await startRestore(service, { point, target, databases })).id)
    const without =
      'Role "owner" was created without SUPERUSER: no restore gives it; a superuser may: ALTER ROLE "owner" SUPERUSER'
    expect(ended).toMatchObject({ status: 'COMPLETED_WITH_WARNINGS', error: null, warnings: [without] })
    expect(restoreReportOf(ended)).toMatchObject({ rolesCreated: ['owner', 'team'], omitted: [without] })
    expect(
      await run(
        target,
        'shop',
        `select tableowner as owner, rolsuper as super from pg_tables join pg_roles on rolname = tableowner
          where tablename = 'goods'`,
      ),
    ).toEqual([{ owner: 'owner', super: false }])
  })

  for (const restoreJobs of [1, 2]) {
    test(`leave out what only superusers can own and one that is none would get, over ${restoreJobs} connections`, async ({
      databaseUrl,
      folder,
    }) => {
      await using source = await sourceWith(
        'shop',
        `create role admin superuser login;
       create table goods as select generate_series(1, 5) as i;
       create function noticed() returns event_trigger language plpgsql as $$ begin end $$;
       create event trigger notice on ddl_command_start execute function noticed();
       comment on event trigger notice is 'gone with it'; alter event trigger notice owner to admin;
       create event trigger stays on ddl_command_start execute function noticed();
       create foreign data wrapper w options (a 'b'); alter foreign data wrapper w owner to admin;
       grant usage on foreign data wrapper w to public; create server far foreign data wrapper w;
       create user mapping for admin server far; create foreign table remote (i int) server far;
       create view seen as select * from remote; comment on view seen is 'gone as well'`,
      )
      const left = [
        '"shop": FOREIGN DATA WRAPPER "w" was left out: its owner "admin" would have to be a superuser. Before a restore this helps: ALTER ROLE "admin" SUPERUSER',
        '"shop": SERVER "far" needs FOREIGN DATA WRAPPER "w": it was left out.',
        '"shop": USER MAPPING "USER MAPPING admin SERVER far" needs SERVER "far": it was left out.',
        '"shop": FOREIGN TABLE "public"."remote" needs SERVER "far": it was left out.',
        '"shop": VIEW "public"."seen" needs FOREIGN TABLE "public"."remote": it was left out.',
        '"shop": EVENT TRIGGER "notice" was left out: its owner "admin" would have to be a superuser. Before a restore this helps: ALTER ROLE "admin" SUPERUSER',
      ]
      const objects = `select (select count(*)::int from goods) as rows,
      (select string_agg(evtname, ', ' order by evtname) from pg_event_trigger) as triggers,
      (select count(*)::int from pg_foreign_data_wrapper where fdwname = 'w') as wrappers`
      const databases = [{ name: 'shop', targetName: 'shop' }]
      await using target = await sourceServer()
      await using service = await startService({ databaseUrl, folder }, { restoreJobs })
      const point = await backedUp(service, source, folder)
      const ended = await service.ended((await startRestore(service, { point, target, databases })).id)
      expect(ended).toMatchObject({ status: 'COMPLETED_WITH_WARNINGS', error: null })
      const { omitted = [], rolesCreated } = restoreReportOf(ended) ?? {}
      expect(rolesCreated).toEqual(['admin'])
      expect(omitted.filter((each) => each.startsWith('"shop"')).toSorted()).toEqual(left.toSorted())
      expect(await run(target, 'shop', objects)).toEqual([{ rows: 5, triggers: 'stays', wrappers: 0 }])
      // What it says would have helped helps.
      await run(target, 'postgres', 'drop database shop')
      await run(target, 'postgres', 'alter role admin superuser')
      const again = await service.ended((await startRestore(service, { point, target, databases })).id)
      expect(again).toMatchObject({ status: 'COMPLETED', error: null, warnings: [] })
      expect(await run(target, 'shop', objects)).toEqual([{ rows: 5, triggers: 'notice, stays', wrappers: 1 }])
    })
  }

  test('are named when they stay behind a restore that failed', async ({ databaseUrl, folder }) => {
    // Longer than anything here takes: cancelling ends it.
    await using source = await slowSource(100)
    await run(source, 'slow', 'create role owner; alter table other owner to owner')
    await using target = await sourceServer()
    await using service = await startService({ databaseUrl, folder })
    const point = await backedUp(service, source, folder)
    const job = await startRestore(service, { point, target })
    await waitFor('the index that takes long', async () => (await indexBuilds(target)) > 0)
    await cancelJob(service.database, { jobId: job.id, actor, now: new Date() })
    expect(await service.ended(job.id, { withinMs: 60_000 })).toMatchObject({
      status: 'CANCELLED',
      warnings: ['Roles that were created for the restore are still there: owner.'],
    })
  })

  test('are all of the source where the manifest does not tell which', () => {
    const role = (name: string, ...memberOf: string[]) =>
      ({ name, memberships: memberOf.map((each) => ({ role: each })) }) as unknown as Manifest['roles'][number]
    const database = (name: string, more: object) =>
      ({
        report: { name, ownerName: 'a', acl: null, settings: [] },
        ...more,
      }) as unknown as Manifest['databases'][number]
    const roles = [role('a', 'b'), role('b', 'c'), role('c', 'a'), role('d'), role('e')]
    const databases = [database('told', { roles: ['e'] }), database('untold', {})]
    const namesFor = (...names: string[]) =>
      neededRoles({ databases, roles }, { databases: names.map((name) => ({ name, targetName: name })) })
        .map(({ name }) => name)
        .join()
    expect(namesFor('told')).toBe('a,b,c,e')
    expect(namesFor('told', 'untold')).toBe('a,b,c,d,e')
  })
})

async function waitingDrops(target: Cluster): Promise<number> {
  const [row] = await run(
    target,
    'postgres',
    `select count(*)::int as count from pg_stat_activity where query like 'drop database%' and wait_event_type = 'Lock'`,
  )
  return row?.count ?? 0
}

async function indexBuilds(target: Cluster): Promise<number> {
  const [row] = await run(target, 'postgres', 'select count(*)::int as count from pg_stat_progress_create_index')
  return row?.count ?? 0
}

describe('a restore into a server', { timeout: 60_000 }, () => {
  test('does not care for other databases there, not even for one that lets nobody in', async ({
    databaseUrl,
    folder,
  }) => {
    await using source = await sourceWith('shop', 'create table t as select 1 as i')
    await using target = await sourceServer()
    await run(target, 'postgres', 'create database broken')
    await run(target, 'postgres', `alter database broken set session_preload_libraries = 'no_such_library'`)
    await using service = await startService({ databaseUrl, folder })
    const point = await backedUp(service, source, folder)
    const ended = await service.ended((await startRestore(service, { point, target })).id)
    expect(ended).toMatchObject({ status: 'COMPLETED', error: null })
  })

  test('whose spool directory cannot be used says so', async ({ databaseUrl, folder }) => {
    await using source = await sourceWith('shop', 'create table t as select 1 as i')
    await using target = await sourceServer()
    await using service = await startService({ databaseUrl, folder })
    const point = await backedUp(service, source, folder)
    await writeFile(join(folder, 'file'), '')
    service.context.spoolDirectory = join(folder, 'file', 'spool')
    const { id } = await startRestore(service, { point, target })
    const failed = await firstFailure(service.database, id)
    expect(failed.error).toMatchObject({ code: 'STORAGE_UNREACHABLE', details: expect.stringContaining('spool') })
  })
})

describe('a restore of all databases', { timeout: 60_000 }, () => {
  test('brings back a "postgres" that holds anything, be it without a table', async ({ databaseUrl, folder }) => {
    await using source = await sourceWith('shop', 'create table t (i int)')
    await run(source, 'postgres', 'create function nightly() returns int language sql as $$ select 7 $$')
    await using target = await sourceServer()
    await using service = await startService({ databaseUrl, folder })
    const point = await backedUp(service, source, folder)
    const ended = await service.ended((await startRestore(service, { point, target })).id)
    expect(ended).toMatchObject({ status: 'COMPLETED', error: null })
    expect(restoreReportOf(ended)).toMatchObject({ databases: [{ name: 'postgres' }, { name: 'shop' }], omitted: [] })
    expect(await run(target, 'postgres', 'select nightly()')).toEqual([{ nightly: 7 }])
  })

  test('leaves a "postgres" out that nobody has looked into, and says how to have it', async ({
    databaseUrl,
    folder,
  }) => {
    await using source = await sourceWith('shop', 'create table t (i int)')
    await run(source, 'postgres', 'create function nightly() returns int language sql as $$ select 7 $$')
    await using target = await sourceServer()
    await using service = await startService({ databaseUrl, folder })
    const point = await backedUp(service, source, folder)
    // As version 0.3 recorded it.
    const databases = point.databases.map(({ isEmpty: _notLookedAt, ...known }) => known)
    await service.database.update(recoveryPoints).set({ databases })
    const ended = await service.ended((await startRestore(service, { point, target })).id)
    const sentence =
      'Database "postgres" holds no table and was left out. The backup, of version 0.3 or older, did not look whether it holds anything else: name it among the databases to have it.'
    expect(ended).toMatchObject({ status: 'COMPLETED_WITH_WARNINGS', error: null, warnings: [sentence] })
    expect(restoreReportOf(ended)).toMatchObject({ databases: [{ name: 'shop' }], omitted: [sentence] })
    const named = [{ name: 'postgres', targetName: 'postgres' }]
    const again = await service.ended((await startRestore(service, { point, target, databases: named })).id)
    expect(again).toMatchObject({ status: 'COMPLETED', warnings: [] })
    expect(await run(target, 'postgres', 'select nightly()')).toEqual([{ nightly: 7 }])
  })
})

describe('a restore to one role', { timeout: 60_000 }, () => {
  test('gives it everything, uses its rights alone, and says what only a superuser could make', async ({
    databaseUrl,
    folder,
  }) => {
    await using source = await sourceWith('shop', shop)
    await using target = await sourceServer()
    // A policy names its roles, whoever owns its table.
    await run(target, 'postgres', 'create role "new owner"; create role clerk')
    await using service = await startService({ databaseUrl, folder })
    const point = await backedUp(service, source, folder)
    const job = await startRestore(service, { point, target, ownership: { kind: 'TO_ROLE', role: 'new owner' } })
    const ended = await service.ended(job.id)
    expect(ended).toMatchObject({ error: null, status: 'COMPLETED_WITH_WARNINGS' })
    expect(restoreReportOf(ended)).toMatchObject({
      rolesCreated: [],
      omitted: [
        'Database "postgres" holds nothing and was left out.',
        '"shop": EVENT TRIGGER "notice" was left out: only a superuser can make it.',
      ],
    })
    await using sql = connect(target, 'shop')
    expect(
      await sql`select distinct pg_get_userbyid(c.relowner) as owner from pg_class c
        join pg_namespace n on n.oid = c.relnamespace where n.nspname in ('sales', 'public') and c.relkind in ('r', 'p', 'm', 'S')
        and not exists (select from pg_depend d where d.objid = c.oid and d.deptype = 'e')`,
    ).toEqual([{ owner: 'new owner' }])
    expect(await sql`select extname from pg_extension order by 1`).toEqual([
      { extname: 'citext' },
      { extname: 'pageinspect' },
      { extname: 'plpgsql' },
    ])
    expect(await sql`select pg_get_userbyid(datdba) as owner from pg_database where datname = 'shop'`).toEqual([
      { owner: 'new owner' },
    ])
  })

  test('that is not there fails with what to do, and makes nothing', async ({ databaseUrl, folder }) => {
    await using source = await sourceWith('shop', 'create table t ()')
    await using service = await startService({ databaseUrl, folder })
    const point = await backedUp(service, source, folder)
    const mapping = [{ name: 'shop', targetName: 'copy' }]
    const ownership = { kind: 'TO_ROLE', role: 'no "one"' } as const
    const job = await startRestore(service, { point, target: source, databases: mapping, ownership })
    const ended = await service.ended(job.id)
    expect(ended).toMatchObject({ status: 'FAILED', error: { code: 'ROLE_MISSING' } })
    expect(ended.error?.recommendedActions).toContain('CREATE ROLE "no ""one"""')
    expect(await databasesOf(source)).toEqual(['shop'])
  })

  test('names a role where one is meant, and only there', () => {
    expect(ownershipOf('TO_ROLE', 'a')).toEqual({ kind: 'TO_ROLE', role: 'a' })
    expect(ownershipOf('NONE', null)).toEqual({ kind: 'NONE' })
    expect(() => ownershipOf('TO_ROLE', null)).toThrow('has to be named')
    expect(() => ownershipOf('KEEP', 'a')).toThrow('nothing is given to one role')
    expect(() => ownershipOf('TO_ROLE', 'x'.repeat(64))).toThrow('1 to 63 bytes')
  })
})

describe('a restore of a part', { timeout: 60_000 }, () => {
  test('brings back the chosen table, compares its rows, and says what it left out', async ({
    databaseUrl,
    folder,
  }) => {
    await using source = await sourceWith('shop', shop)
    await using service = await startService({ databaseUrl, folder })
    const point = await backedUp(service, source, folder)
    const part = { database: 'shop', schemas: [], tables: [{ schema: 'sales', name: 'orders' }] }
    const databases = [{ name: 'shop', targetName: 'orders only' }]
    const ended = await service.ended((await startRestore(service, { point, target: source, databases, part })).id)
    expect(ended).toMatchObject({ error: null, status: 'COMPLETED_WITH_WARNINGS' })
    expect(restoreReportOf(ended)).toMatchObject({
      databases: [{ targetName: 'orders only', tableCount: 1, rowCount: 5000 }],
      omitted: [
        '"orders only": FK CONSTRAINT "sales"."orders orders_customer_fkey" needs TABLE "sales"."customers", which is not in the part: it was left out.',
      ],
    })
    const missing = { ...part, tables: [{ schema: 'sales', name: 'gone' }] }
    const job = await startRestore(service, {
      point,
      target: source,
      databases: [{ name: 'shop', targetName: 'b' }],
      part: missing,
    })
    expect(await service.ended(job.id)).toMatchObject({ status: 'FAILED', error: { code: 'PART_MISSING' } })
    const nothing = { database: 'shop', schemas: [], tables: [] }
    await expect(startRestore(service, { point, target: source, part: nothing })).rejects.toThrow(
      'No schema and no table',
    )
    const other = { point, target: source, part, databases: [{ name: 'postgres', targetName: 'x' }] }
    await expect(startRestore(service, other)).rejects.toThrow('no other database comes with it')
    expect(await databasesOf(source)).toEqual(['orders only', 'shop'])
  })
})
