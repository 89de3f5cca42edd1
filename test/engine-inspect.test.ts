import { describe, expect } from 'vitest'
import type { Cluster } from '../src/cluster/start.ts'
import { dumpDatabase } from '../src/engine/dump.ts'
import { inspectServer } from '../src/engine/inspect.ts'
import { openSession } from '../src/engine/session.ts'
import { markTemporary } from '../src/engine/temporary-database.ts'
import { addressOf, createDatabase, failureOf, installedTools, memorySink, never, run } from './kit/engine.ts'
import { sourceServer } from './kit/source-server.ts'
import { test } from './kit/test.ts'

const guarded = `
  create schema "Hidden ""one""";
  create table "Hidden ""one""".inside (id int);
  create table "no ""rights""" (id int);
  create sequence "no rights to count";
  create table "rows hidden" (id int);
  insert into "rows hidden" values (1);
  alter table "rows hidden" enable row level security;
  create table fine (id int);
  create view not_asked as select 1;
  create extension citext;
  select lo_create(900001)`

/** A role that may connect and see what it is granted, nothing else. */
async function addRole(cluster: Cluster, name: string, attributes = '') {
  await run(cluster, 'postgres', `create role "${name}" login password 'p' ${attributes}`)
  return addressOf(cluster, { username: name, password: 'p' })
}

describe('Inspecting a server', () => {
  test('lists what a role cannot read, each with a cure that works', async ({ source }) => {
    const database = await createDatabase(source, guarded)
    const closed = await createDatabase(source, '', `closed "to" all`)
    await run(source, 'postgres', `revoke connect on database "closed ""to"" all" from public`)
    await run(source, database, `revoke all on schema public from public`)
    const role = `ro"le`
    const address = await addRole(source, role.replace('"', '""')).then((each) => ({ ...each, username: role }))

    const before = await inspectServer(address)
    const found = before.unreadable.filter((each) => each.database === database)
    expect(found.map(({ kind, name }) => [kind, name])).toEqual(
      expect.arrayContaining([
        ['SCHEMA', 'Hidden "one"'],
        ['SCHEMA', 'public'],
        ['TABLE', '"Hidden ""one""".inside'],
        ['TABLE', 'public."no ""rights"""'],
        ['SEQUENCE', 'public."no rights to count"'],
        ['ROW_LEVEL_SECURITY', 'public."rows hidden"'],
        ['LARGE_OBJECT', '900001'],
      ]),
    )
    expect(found.map(({ name }) => name).join()).not.toMatch(/not_asked|citext/)
    expect(before.unreadable).toContainEqual(expect.objectContaining({ kind: 'DATABASE', name: closed }))
    expect(before.unreadableCount).toBe(before.unreadable.length)

    const tools = await installedTools()
    const attempt = () =>
      dumpDatabase(address, { database, tools, sink: memorySink(), signal: never, lockWaitMs: 5000 })
    expect((await failureOf(attempt())).code).toBe('PERMISSION_DENIED')
    for (const { database: where, cure } of before.unreadable) {
      await run(source, where === closed ? 'postgres' : where, cure)
    }
    // What is behind the closed door shows once it is open.
    const after = await inspectServer(address)
    expect(after.unreadable).toEqual([])
    const facts = await attempt()
    expect(facts.tables).toContainEqual(expect.objectContaining({ schema: 'public', name: 'rows hidden', rows: 1 }))
    expect(facts.largeObjectCount).toBe(1)
  })

  test('tells row-level security from other rights, and lets owners pass unless it is forced', async ({ source }) => {
    const address = await addRole(source, 'owner_of_rows')
    const database = await createDatabase(
      source,
      `create table mine (id int); alter table mine owner to owner_of_rows; alter table mine enable row level security;
       create table forced (id int); alter table forced owner to owner_of_rows;
       alter table forced enable row level security; alter table forced force row level security`,
    )
    const { unreadable } = await inspectServer(address)
    const found = unreadable.filter((each) => each.database === database)
    expect(found.map(({ kind, name }) => [kind, name])).toEqual([['ROW_LEVEL_SECURITY', 'public.forced']])
    const tools = await installedTools()
    const dump = dumpDatabase(address, { database, tools, sink: memorySink(), signal: never, lockWaitMs: 5000 })
    expect((await failureOf(dump)).code).toBe('ROW_LEVEL_SECURITY')
  })

  test('names at most 200 objects and counts them all', async () => {
    await using server = await sourceServer()
    await createDatabase(
      server,
      `do $$ begin for n in 1..300 loop execute format('create table t%s ()', n); end loop; end $$`,
    )
    const report = await inspectServer(await addRole(server, 'nobody'))
    expect(report.unreadable).toHaveLength(200)
    expect(report.unreadableCount).toBe(300)
  })

  test('finds everything readable for pg_read_all_data but large objects and guarded rows', async ({ source }) => {
    await createDatabase(source, guarded)
    const { unreadable } = await inspectServer(await addRole(source, 'reader_of_all', 'in role pg_read_all_data'))
    expect(new Set(unreadable.map(({ kind }) => kind))).toEqual(
      new Set(['ROW_LEVEL_SECURITY', 'LARGE_OBJECT']).add('DATABASE'),
    )
  })

  test('describes databases and roles as they are, and leaves out what is no one’s', async ({ source }) => {
    await createDatabase(source, '', 'a template')
    await createDatabase(source, '', 'not accepting')
    await createDatabase(source, '', 'holdfast_restoring_x')
    await createDatabase(source, '', 'holdfast_restoring_y')
    await run(
      source,
      'postgres',
      `update pg_database set datistemplate = true where datname = 'a template';
       update pg_database set datallowconn = false where datname = 'not accepting';
       create role "Group"; create role azure_superuser; create role rds_superuser; create role rdsomething;
       create role "Some One" login createdb createrole noinherit replication bypassrls connection limit 3
         valid until '2031-02-03 04:05:06+00' in role pg_monitor;
       grant "Group" to "Some One" with admin option;
       alter role "Some One" set search_path = '$user', "A b";
       comment on role "Some One" is 'said ''so'''`,
    )
    await using session = await openSession(addressOf(source), 'postgres')
    await markTemporary(session, 'holdfast_restoring_x')
    const database = await createDatabase(source, 'create schema "S"; create extension citext schema "S"')
    const report = await inspectServer(addressOf(source))
    const names = report.databases.map(({ name }) => name)
    expect(names).toContain('postgres')
    // It only has such a name: it is somebody's.
    expect(names).toContain('holdfast_restoring_y')
    for (const name of ['a template', 'not accepting', 'holdfast_restoring_x', 'template0', 'template1']) {
      expect(names).not.toContain(name)
    }
    expect(report).toMatchObject({ isInRecovery: false, isSuperuser: true, unreadable: [], unreadableCount: 0 })
    const described = report.databases.find(({ name }) => name === database)
    expect(described).toMatchObject({
      encoding: 'UTF8',
      ownerName: source.superuser,
      localeProvider: 'LIBC',
      acl: null,
    })
    expect(described?.extensions).toContainEqual({ name: 'citext', version: expect.any(String), schema: 'S' })
    expect(described?.sizeBytes).toBeGreaterThan(1_000_000)

    const roles = report.roles.map(({ name }) => name)
    expect(roles).toContain('rdsomething')
    expect(roles.join()).not.toMatch(/pg_|azure_|rds_/)
    expect(report.roles.find(({ name }) => name === 'Some One')).toMatchObject({
      isSuperuser: false,
      canLogin: true,
      inherits: false,
      createsDatabases: true,
      createsRoles: true,
      isReplication: true,
      bypassesRowSecurity: true,
      connectionLimit: 3,
      validUntil: '2031-02-03 04:05:06+00',
      comment: `said 'so'`,
      settings: [{ name: 'search_path', value: '"$user", "A b"' }],
      memberships: [
        expect.objectContaining({ role: 'Group', isAdmin: true }),
        expect.objectContaining({ role: 'pg_monitor' }),
      ],
    })
  })

  test('works on the newest server too', async () => {
    await using server = await sourceServer({ major: 18 })
    await createDatabase(server, 'create table t (id int); select lo_create(5)', 'newest')
    await run(
      server,
      'postgres',
      `create database icu template template0 locale_provider builtin builtin_locale 'C.UTF-8'`,
    )
    const report = await inspectServer(await addRole(server, 'weak'))
    expect(report.databases.find(({ name }) => name === 'icu')).toMatchObject({
      localeProvider: 'BUILTIN',
      locale: 'C.UTF-8',
    })
    expect(report.unreadable.map(({ kind, name }) => [kind, name])).toEqual([
      ['TABLE', 'public.t'],
      ['LARGE_OBJECT', '5'],
    ])
  })
})
