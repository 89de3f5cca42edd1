import { describe, expect } from 'vitest'
import type { Cluster } from '../src/cluster/start.ts'
import { compareRows } from '../src/engine/compare-rows.ts'
import { countRows } from '../src/engine/count-rows.ts'
import { dumpDatabase } from '../src/engine/dump.ts'
import { dumpGlobals } from '../src/engine/dump-globals.ts'
import { inspectServer } from '../src/engine/inspect.ts'
import { restoreDatabase } from '../src/engine/restore.ts'
import { stageRestore } from '../src/engine/stage-restore.ts'
import {
  addressOf,
  archiveOf,
  connect,
  createDatabase,
  failureOf,
  installedTools,
  memorySink,
  never,
  run,
  streamOf,
} from './kit/engine.ts'
import { sourceServer } from './kit/source-server.ts'
import { test } from './kit/test.ts'

const nastyNames = [
  'host=x port=1',
  'postgresql://elsewhere/db?sslmode=disable',
  `it's "quoted"`,
  'line\nbreak',
  '100%s of %d',
  '-leading dash',
  '--version',
  ' spaces  around ',
  'Ünïcödé 数据库 🐘',
  'back\\slash',
  '$(id) `id` ;',
]

const varied = `
  create schema "Nasty ""schema"" 'x'";
  create table "Nasty ""schema"" 'x'"."täble; drop --" (id int primary key, "cöl" text);
  insert into "Nasty ""schema"" 'x'"."täble; drop --" select n, repeat('x', n) from generate_series(1, 123) n;
  create table events (at date not null, what text) partition by range (at);
  create table events_2024 partition of events for values from ('2024-01-01') to ('2025-01-01');
  create table events_2025 partition of events for values from ('2025-01-01') to ('2026-01-01');
  insert into events select date '2024-06-01' + n, 'e' from generate_series(1, 300) n;
  create table parent (id int);
  create table child () inherits (parent);
  insert into parent values (1), (2);
  insert into child values (3);
  create table empty_one (id int);
  create unlogged table unlogged_one (id int);
  insert into unlogged_one values (1);
  create sequence counter start 42;
  select nextval('counter');
  create view seen as select * from events;
  create materialized view kept as select count(*) from events;
  create function twice(n int) returns int language sql immutable as 'select n * 2';
  create table computed (n int, m int generated always as (twice(n)) stored);
  insert into computed select generate_series(1, 10);
  create extension citext;
  create table named (name citext unique);
  insert into named values ('Anna');
  create table guarded (id int);
  insert into guarded values (1), (2), (3);
  alter table guarded enable row level security;
  create policy one on guarded using (id = 1);
  select lo_from_bytea(0, '\\x0102'::bytea), lo_from_bytea(0, '\\x03'::bytea);`

async function databaseNames(cluster: Cluster): Promise<string[]> {
  const rows = await run(cluster, 'postgres', 'select datname as name from pg_database order by 1')
  return rows.map((row) => row.name)
}

describe('A dump and its restore', () => {
  test('carry everything of a varied database, and the counts agree', async ({ source }) => {
    const database = await createDatabase(source, varied)
    const archive = await archiveOf(source, database)
    expect(archive.facts.largeObjectCount).toBe(2)
    expect(archive.facts.tables).toContainEqual(
      expect.objectContaining({ schema: `Nasty "schema" 'x'`, name: 'täble; drop --', rows: 123 }),
    )
    expect(archive.facts.tables).toContainEqual(expect.objectContaining({ schema: 'public', name: 'parent', rows: 2 }))
    expect(archive.facts.tables).toContainEqual(
      expect.objectContaining({ schema: 'public', name: 'events_2024', rows: 213 }),
    )
    expect(archive.facts.tables.map(({ name }) => name)).not.toContain('events')
    expect(Math.abs(archive.facts.snapshotAt.getTime() - Date.now())).toBeLessThan(20_000)

    let bytes = 0
    const restored = await restoreDatabase(addressOf(source), {
      archive: streamOf(archive.bytes),
      source: archive.source,
      targetName: `${database} again`,
      token: 'a1',
      tools: await installedTools(),
      ownership: 'KEEP',
      signal: never,
      onBytes: (count) => {
        bytes += count
      },
      check: (rows) => expect(compareRows(archive.facts, rows)).toEqual([]),
    })
    expect(restored.warnings).toEqual([])
    expect(bytes).toBe(archive.bytes.length)
    const [row] = await run(
      source,
      `${database} again`,
      `select nextval('counter') as n, (select count from kept) as c`,
    )
    expect(row).toEqual({ n: '43', c: '300' })
    expect(compareRows(archive.facts, await countRows(addressOf(source), `${database} again`))).toEqual([])
  })

  test.for(nastyNames)('survive the database name %j', async (name, { source }) => {
    await createDatabase(source, 'create table t (id int); insert into t values (1), (2)', name)
    const archive = await archiveOf(source, name)
    expect(archive.facts.tables).toMatchObject([{ schema: 'public', name: 't', rows: 2 }])
    await run(source, 'postgres', `drop database "${name.replaceAll('"', '""')}"`)
    const { rows } = await restoreDatabase(addressOf(source), {
      archive: streamOf(archive.bytes),
      source: archive.source,
      targetName: name,
      token: 'nasty',
      tools: await installedTools(),
      ownership: 'NONE',
      signal: never,
    })
    expect(rows.tables).toEqual(archive.facts.tables)
    expect(await databaseNames(source)).toContain(name)
  })

  test('keep an encoding of its own and text that only it can hold', async ({ source }) => {
    const database = `latin ${crypto.randomUUID()}`
    await run(
      source,
      'postgres',
      `create database "${database}" template template0 encoding 'LATIN1' lc_collate 'C' lc_ctype 'C'`,
    )
    await run(source, database, `create table "fünf" (t text); insert into "fünf" values ('größer')`)
    const archive = await archiveOf(source, database)
    await restoreDatabase(addressOf(source), {
      archive: streamOf(archive.bytes),
      source: archive.source,
      targetName: `${database} again`,
      token: 'latin',
      tools: await installedTools(),
      ownership: 'KEEP',
      signal: never,
    })
    const [row] = await run(source, `${database} again`, `select t, getdatabaseencoding() as encoding from "fünf"`)
    expect(row).toEqual({ t: 'größer', encoding: 'LATIN1' })
  })

  test('give an owner, settings, comment, limit and grants back, or to nobody', async ({ source }) => {
    await run(source, 'postgres', `create role "the Owner"; create role reader; create role "O'Neil"`)
    const database = await createDatabase(source, `create table t (id int); alter table t owner to "the Owner"`)
    const quoted = `"${database}"`
    await run(
      source,
      'postgres',
      `alter database ${quoted} owner to "the Owner";
       alter database ${quoted} set search_path = '$user', "My Schema", public;
       alter database ${quoted} set work_mem = '7MB';
       alter role "O'Neil" in database ${quoted} set application_name = 'it''s \\ me';
       alter database ${quoted} connection limit 17;
       comment on database ${quoted} is 'it''s \\ ours';
       revoke all on database ${quoted} from public;
       grant connect on database ${quoted} to reader with grant option`,
    )
    const archive = await archiveOf(source, database)
    const request = { source: archive.source, tools: await installedTools(), signal: never }
    const targets = { KEEP: `${database} kept`, NONE: `${database} none` }
    for (const ownership of ['KEEP', 'NONE'] as const) {
      const { warnings } = await restoreDatabase(addressOf(source), {
        ...request,
        archive: streamOf(archive.bytes),
        targetName: targets[ownership],
        token: 'props',
        ownership,
      })
      expect(warnings).toEqual([])
    }
    const { databases } = await inspectServer(addressOf(source))
    const kept = databases.find(({ name }) => name === targets.KEEP)
    expect(kept).toEqual({
      ...archive.source,
      name: targets.KEEP,
      sizeBytes: expect.any(Number),
      acl: expect.anything(),
    })
    expect(kept?.acl).toContainEqual({ grantee: 'reader', privilege: 'CONNECT', isGrantable: true })
    expect(kept?.acl).not.toContainEqual(expect.objectContaining({ grantee: null }))
    const none = databases.find(({ name }) => name === targets.NONE)
    expect(none).toMatchObject({ ownerName: source.superuser, connectionLimit: 17, comment: `it's \\ ours` })
    expect(none?.settings.map(({ name }) => name).sort()).toEqual(['search_path', 'work_mem'])
    expect(none?.acl).toContainEqual({ grantee: null, privilege: 'CONNECT', isGrantable: false })
  })

  test('refuse a database that holds anything, and leave it untouched', async ({ source }) => {
    const archive = await archiveOf(source, await createDatabase(source, 'create table t (id int)'))
    const contents = {
      'relation mine': 'create table mine (id int); insert into mine values (1)',
      'function f': `create function f() returns int language sql as 'select 1'`,
      'type mood': `create type mood as enum ('fine')`,
      'schema other': 'create schema other',
      'extension citext': 'create extension citext',
      'large object 4711': 'select lo_create(4711)',
      'publication p': 'create publication p',
      'default privilege': 'alter default privileges grant select on tables to public',
    }
    for (const [what, statements] of Object.entries(contents)) {
      const target = await createDatabase(source, statements)
      const failure = await failureOf(
        restoreDatabase(addressOf(source), {
          archive: streamOf(archive.bytes),
          source: archive.source,
          targetName: target,
          token: 'full',
          tools: await installedTools(),
          ownership: 'NONE',
          signal: never,
        }),
      )
      expect(failure.code).toBe('TARGET_NOT_EMPTY')
      expect(failure.message).toContain(what)
    }
    expect((await databaseNames(source)).filter((name) => name.startsWith('holdfast_'))).toEqual([])
  })

  test('replace an empty database and keep its owner and settings', async ({ source }) => {
    const archive = await archiveOf(source, await createDatabase(source, 'create table t (id int)'))
    const target = await createDatabase(source)
    await run(source, 'postgres', `alter database "${target}" set work_mem = '9MB'`)
    await restoreDatabase(addressOf(source), {
      archive: streamOf(archive.bytes),
      source: archive.source,
      targetName: target,
      token: 'empty',
      tools: await installedTools(),
      ownership: 'NONE',
      signal: never,
    })
    const [row] = await run(source, target, `select current_setting('work_mem') as setting, count(*) from t`)
    expect(row).toEqual({ setting: '9MB', count: '0' })
    expect((await databaseNames(source)).filter((name) => name.startsWith('holdfast_'))).toEqual([])
  })

  test('replace even the empty database that questions are asked in', async ({ source }) => {
    const archive = await archiveOf(source, await createDatabase(source, 'create table t (id int)'))
    await using target = await sourceServer()
    const { rows } = await restoreDatabase(addressOf(target), {
      archive: streamOf(archive.bytes),
      source: archive.source,
      targetName: 'postgres',
      token: 'maintenance',
      tools: await installedTools(),
      ownership: 'NONE',
      signal: never,
    })
    expect(rows.tables).toMatchObject([{ schema: 'public', name: 't', rows: 0 }])
    expect(await databaseNames(target)).toEqual(['postgres', 'template0', 'template1'])
  })

  test('refuse at the last moment what was filled meanwhile, or is in use', { timeout: 120_000 }, async ({
    source,
  }) => {
    const archive = await archiveOf(source, await createDatabase(source, 'create table t (id int)'))
    const target = await createDatabase(source)
    const request = {
      source: archive.source,
      targetName: target,
      tools: await installedTools(),
      ownership: 'NONE',
      signal: never,
    } as const
    const stage = (token: string) =>
      stageRestore(addressOf(source), { ...request, token, archive: streamOf(archive.bytes) })
    await using inUse = await stage('late_0')
    await using filled = await stage('late_1')
    {
      await using user = connect(source, target)
      await user`select 1`
      expect(await failureOf(inUse.publish())).toMatchObject({
        code: 'TARGET_IN_USE',
        message: expect.stringContaining(`Target database "${target}" is in use`),
      })
      await user`create table precious as select 1 as one`
    }
    expect((await failureOf(filled.publish())).code).toBe('TARGET_NOT_EMPTY')
    expect(await run(source, target, 'select * from precious')).toEqual([{ one: 1 }])
  })

  test('write roles and tablespaces as SQL, without passwords', async ({ source }) => {
    await run(source, 'postgres', `create role somebody login password 'never to be seen'`)
    const sink = memorySink()
    await dumpGlobals(addressOf(source), { tools: await installedTools(), sink, signal: never })
    const sql = sink.bytes().toString()
    expect(sql).toContain('CREATE ROLE somebody')
    expect(sql).not.toMatch(/never to be seen|SCRAM|PASSWORD/)
    const odd = await createDatabase(source, '', `odd = 'name' \\ 1`)
    const other = memorySink()
    const address = addressOf(source, { maintenanceDatabase: odd })
    await dumpGlobals(address, { tools: await installedTools(), sink: other, signal: never })
    expect(other.bytes().toString()).toContain('CREATE ROLE somebody')
  })

  test('count in the snapshot of the dump, whatever is written meanwhile', async ({ source }) => {
    const database = await createDatabase(source, 'create table t (id int); insert into t values (1)')
    const sink = memorySink()
    await using writer = connect(source, database)
    const facts = await dumpDatabase(addressOf(source), {
      database,
      tools: await installedTools(),
      sink,
      signal: never,
      lockWaitMs: 5000,
      onRows: () => void writer`insert into t select generate_series(1, 1000)`.execute(),
    })
    expect(facts.tables).toMatchObject([{ schema: 'public', name: 't', rows: 1 }])
  })
})
