import { describe, expect } from 'vitest'
import { compareRows } from '../src/engine/compare-rows.ts'
import { createMissingRoles } from '../src/engine/create-roles.ts'
import { inspectServer } from '../src/engine/inspect.ts'
import { restoreDatabase } from '../src/engine/restore.ts'
import { addressOf, archiveOf, createDatabase, failureOf, installedTools, never, run, streamOf } from './kit/engine.ts'
import { sourceServer } from './kit/source-server.ts'
import { test } from './kit/test.ts'

const people = `
  create role "The Boss" superuser login password 'secret of the boss';
  create role team; create role "team's lead" login createrole in role team;
  create role backup_agent replication bypassrls createdb login;
  create role guest login connection limit 2;
  grant team to guest with admin option;
  grant pg_monitor to guest;
  alter role guest set search_path = shop, "$user"; alter role guest set work_mem = '3MB';
  comment on role guest is 'comes and goes'`

const shop = `
  create schema shop authorization "team's lead";
  create table shop.goods (id int primary key, what text);
  insert into shop.goods select n, 'thing ' || n from generate_series(1, 50) n;
  alter table shop.goods owner to team;
  create function shop.price() returns int language sql security definer as 'select 1';
  alter function shop.price() owner to "The Boss";
  grant select on shop.goods to guest; grant usage on schema shop to guest;
  create table hidden (id int); alter table hidden owner to team; alter table hidden enable row level security;
  insert into hidden values (1);
  alter default privileges for role team grant select on tables to guest`

describe('Roles', () => {
  test('are made on a second server, where the database keeps its owners and grants', async ({ source }) => {
    await run(source, 'postgres', people)
    const database = await createDatabase(source, shop, 'the shop')
    await run(source, 'postgres', `alter database "${database}" owner to "team's lead"`)
    const archive = await archiveOf(source, database)
    const { roles } = await inspectServer(addressOf(source))
    for (const major of [undefined, 18]) {
      await using target = await sourceServer(major === undefined ? {} : { major })
      await run(target, 'postgres', `create role guest nologin password 'kept'`)
      const before = await run(target, 'postgres', `select rolpassword from pg_authid where rolname = 'guest'`)
      const made = await createMissingRoles(addressOf(target), roles)
      expect(made.created).toEqual(['The Boss', 'backup_agent', 'team', "team's lead"])
      expect(made.existing).toEqual(['guest', target.superuser])
      const withheld = made.omitted.map(({ role, what }) => `${role}: ${what}`)
      const guarded = ['The Boss: SUPERUSER', 'backup_agent: REPLICATION', 'backup_agent: BYPASSRLS']
      expect(withheld).toEqual(major === 18 ? guarded : [...guarded, "team's lead: CREATEROLE"])
      expect(made.omitted[0]?.reason).toContain('ALTER ROLE "The Boss" SUPERUSER')
      const now = await inspectServer(addressOf(target))
      const roleOf = (list: typeof roles, name: string) => list.find((role) => role.name === name)
      expect(roleOf(now.roles, 'The Boss')).toEqual({ ...roleOf(roles, 'The Boss'), isSuperuser: false })
      const without = { isReplication: false, bypassesRowSecurity: false }
      expect(roleOf(now.roles, 'backup_agent')).toEqual({ ...roleOf(roles, 'backup_agent'), ...without })
      expect(roleOf(now.roles, "team's lead")?.memberships).toEqual([expect.objectContaining({ role: 'team' })])
      // An existing role stays exactly as it is.
      expect(roleOf(now.roles, 'guest')).toMatchObject({
        canLogin: false,
        memberships: [],
        settings: [],
        comment: null,
      })
      expect(await run(target, 'postgres', `select rolpassword from pg_authid where rolname = 'guest'`)).toEqual(before)
      const [boss] = await run(target, 'postgres', `select rolpassword from pg_authid where rolname = 'The Boss'`)
      expect(boss).toEqual({ rolpassword: null })

      const { rows, warnings } = await restoreDatabase(addressOf(target), {
        archive: streamOf(archive.bytes),
        source: archive.source,
        targetName: database,
        token: 'second',
        tools: await installedTools(),
        ownership: 'KEEP',
        signal: never,
      })
      expect(warnings).toEqual([])
      expect(compareRows(archive.facts, rows)).toEqual([])
      const [facts] = await run(
        target,
        database,
        `select (select pg_get_userbyid(datdba) from pg_database where datname = current_database()) as database,
          (select pg_get_userbyid(relowner) from pg_class where relname = 'goods') as goods,
          (select pg_get_userbyid(proowner) from pg_proc where proname = 'price') as price,
          has_table_privilege('guest', 'shop.goods', 'select') as readable`,
      )
      expect(facts).toEqual({ database: "team's lead", goods: 'team', price: 'The Boss', readable: true })
    }
  })

  test('are made by a role that is no superuser as far as it may, and it says what it left out', async ({ source }) => {
    const wanted = ['The Boss', 'backup_agent', 'team', "team's lead", 'guest']
    await run(source, 'postgres', `do $$ begin if to_regrole('team') is null then ${people}; end if; end $$`)
    const roles = (await inspectServer(addressOf(source))).roles.filter(({ name }) => wanted.includes(name))
    const database = await createDatabase(
      source,
      'create table t (id int); insert into t values (1); alter table t owner to team; grant select on t to guest',
    )
    await run(source, 'postgres', `alter database "${database}" owner to team`)
    const archive = await archiveOf(source, database)
    for (const major of [undefined, 18]) {
      await using target = await sourceServer(major === undefined ? {} : { major })
      await run(target, 'postgres', `create role restorer login password 'p' createdb createrole`)
      const address = addressOf(target, { username: 'restorer', password: 'p' })
      const { created, omitted } = await createMissingRoles(address, roles)
      expect(created.sort()).toEqual([...wanted].sort())
      const left = omitted.map(({ role, what }) => `${role}: ${what}`)
      expect(left).toEqual(
        expect.arrayContaining(['The Boss: SUPERUSER', 'backup_agent: REPLICATION', 'backup_agent: BYPASSRLS']),
      )
      const { rows } = await restoreDatabase(address, {
        archive: streamOf(archive.bytes),
        source: archive.source,
        targetName: 'mine',
        token: 'weak',
        tools: await installedTools(),
        ownership: 'KEEP',
        signal: never,
      })
      expect(compareRows(archive.facts, rows)).toEqual([])
      const [owner] = await run(
        target,
        'mine',
        `select relowner::regrole::text as name from pg_class where relname = 't'`,
      )
      expect(owner).toEqual({ name: 'team' })
    }
  })

  test('are made without a membership that goes past the guards of the server, and it says so', async ({ source }) => {
    await run(
      source,
      'postgres',
      `create role dba; create role runners; create role etl login createrole; create role plain;
       grant dba, runners, plain, pg_write_server_files, pg_monitor to etl; grant "${source.superuser}" to etl with admin option`,
    )
    const wanted = (await inspectServer(addressOf(source))).roles.filter(({ name }) => ['etl', 'plain'].includes(name))
    const withheld = [
      ['membership in "dba"', 'GRANT "dba" TO "etl"'],
      [`membership in "${source.superuser}"`, `GRANT "${source.superuser}" TO "etl" WITH ADMIN OPTION`],
      ['membership in "pg_write_server_files"', 'GRANT "pg_write_server_files" TO "etl"'],
      ['membership in "runners"', 'GRANT "runners" TO "etl"'],
    ]
    for (const major of [undefined, 18]) {
      await using target = await sourceServer(major === undefined ? {} : { major })
      await run(
        target,
        'postgres',
        'create role dba superuser; create role programs in role pg_execute_server_program; create role runners in role programs',
      )
      const expected = [...(major === 18 ? [] : [['CREATEROLE', 'ALTER ROLE "etl" CREATEROLE']]), ...withheld]
      const heard: string[][] = []
      const { omitted } = await createMissingRoles(addressOf(target), wanted, {
        beforeCommitting: async (parts) => {
          // Nobody else sees the roles before this has been written down.
          expect(await run(target, 'postgres', `select from pg_roles where rolname = 'etl'`)).toHaveLength(0)
          for (const { what, reason } of parts) heard.push([what, reason.replace(/^.*a superuser may: /, '')])
        },
      })
      expect(heard.toSorted()).toEqual(expected.toSorted())
      expect(omitted).toHaveLength(expected.length)
      const [etl] = (await inspectServer(addressOf(target))).roles.filter(({ name }) => name === 'etl')
      expect(etl?.memberships.map(({ role }) => role)).toEqual(['pg_monitor', 'plain'])
      expect(etl?.createsRoles).toBe(major === 18)
      for (const [, cure = ''] of expected) await run(target, 'postgres', cure)
    }
  })

  test('that a database needs are told with its dump, unless its rows may name others', async ({ source }) => {
    const owner = 'create role "own""er"; create role reader; create role policed; create role mapped; create role idle'
    await run(source, 'postgres', owner)
    const database = await createDatabase(
      source,
      `create table t (id int); alter table t owner to "own""er";
       alter default privileges in schema public grant select on tables to reader;
       create policy p on t to policed using (true);
       create foreign data wrapper w; create server s foreign data wrapper w; create user mapping for mapped server s`,
    )
    const { facts } = await archiveOf(source, database)
    expect(facts.roles).toEqual([source.superuser, 'mapped', 'own"er', 'policed', 'reader'].sort())
    await run(source, database, 'create domain who as regrole; create table people (id who)')
    expect((await archiveOf(source, database)).facts).not.toHaveProperty('roles')
  })

  test('are not made by a role without the right, nor half of them', async ({ source }) => {
    const { roles } = await inspectServer(addressOf(source))
    await using target = await sourceServer()
    await run(target, 'postgres', `create role restorer login password 'p'`)
    const address = addressOf(target, { username: 'restorer', password: 'p' })
    const newcomer = { ...roles[0], name: 'newcomer', memberships: [], settings: [], isSuperuser: false }
    const made = failureOf(createMissingRoles(address, [newcomer as (typeof roles)[number]]))
    expect((await made).code).toBe('PERMISSION_DENIED')
  })
})
