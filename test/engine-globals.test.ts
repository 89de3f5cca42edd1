import { execFile } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { describe, expect } from 'vitest'
import type { Cluster } from '../src/cluster/start.ts'
import { dumpGlobals } from '../src/engine/dump-globals.ts'
import { cleanGlobals } from '../src/engine/globals/clean-globals.ts'
import { splitStatements } from '../src/engine/globals/split-statements.ts'
import { addressOf, connect, installedTools, memorySink, never, run } from './kit/engine.ts'
import { installedMajor, programsOf } from './kit/postgres-programs.ts'
import { sourceServer } from './kit/source-server.ts'
import { test } from './kit/test.ts'

describe('splitting statements', () => {
  test.for([
    ['SELECT 1; SELECT 2;', ['SELECT 1', 'SELECT 2']],
    ['SELECT 1', ['SELECT 1']],
    ['-- a; comment\nSELECT 1;', ['SELECT 1']],
    ['/* a; "comment" */ SELECT 1;', ['SELECT 1']],
    [`CREATE ROLE "a;b\n-- c";`, [`CREATE ROLE "a;b\n-- c"`]],
    [`CREATE ROLE "a""; DROP ROLE b";`, [`CREATE ROLE "a""; DROP ROLE b"`]],
    [`COMMENT ON ROLE a IS 'it''s; -- "x"';`, [`COMMENT ON ROLE a IS 'it''s; -- "x"'`]],
    [`COMMENT ON ROLE a IS E'it\\'s; \\\\';SELECT 1;`, [`COMMENT ON ROLE a IS E'it\\'s; \\\\'`, 'SELECT 1']],
    [`COMMENT ON ROLE a IS 'a \\';SELECT 1;`, [`COMMENT ON ROLE a IS 'a \\'`, 'SELECT 1']],
    ['\\restrict x;y\nSELECT 1;\n\\unrestrict x;y\n', ['SELECT 1']],
    [`SELECT 'a\n\\! rm\n';`, [`SELECT 'a\n\\! rm\n'`]],
    ['CREATE ROLE größe;', ['CREATE ROLE größe']],
    [' ;; ', []],
  ] as const)('reads %j as %j', ([sql, expected]) => {
    expect(splitStatements(sql).map(({ text }) => text)).toEqual(expected)
  })

  test.for(["SELECT 'a", 'CREATE ROLE "a'])('refuses %j, whose quote is never closed', (sql) => {
    expect(() => splitStatements(sql)).toThrow(RangeError)
  })

  test('tells quoted names from words', () => {
    const [statement] = splitStatements('GRANT "Granted ""By"" x" TO Clerk')
    expect(statement?.tokens.map(({ kind, value }) => [kind, value])).toEqual([
      ['WORD', 'grant'],
      ['NAME', 'Granted "By" x'],
      ['WORD', 'to'],
      ['WORD', 'clerk'],
    ])
  })
})

/** What stays of the SQL, without comments. */
const keptOf = (sql: string) =>
  cleanGlobals(sql)
    .sql.split('\n')
    .filter((line) => !line.startsWith('--'))
    .join('\n')
    .trim()

describe('cleaning roles and tablespaces', () => {
  test('goes through each statement once, so that many roles are no matter', { timeout: 15_000 }, () => {
    const names = Array.from({ length: 15_000 }, (_, at) => `role_${at}`)
    const sql = names.map(
      (name) =>
        `CREATE ROLE ${name}; ALTER ROLE ${name} WITH LOGIN; ALTER ROLE ${name} SET a TO 'b'; GRANT ${name} TO role_1;\n`,
    )
    expect(cleanGlobals(sql.join('')).leftOut).toEqual([])
  })

  test.for([
    ['CREATE ROLE azure_pg_admin;', 'managed service'],
    ['ALTER ROLE azuresu WITH SUPERUSER REPLICATION;', 'managed service'],
    ['CREATE ROLE rds_superuser;', 'managed service'],
    ['CREATE ROLE rdsadmin;', 'managed service'],
    ['CREATE ROLE cloudsqlsuperuser;', 'managed service'],
    ['CREATE ROLE alloydbsuperuser;', 'managed service'],
    ['GRANT azure_pg_admin TO clerk;', 'managed service'],
    ['GRANT pg_read_all_data TO rds_superuser WITH ADMIN OPTION GRANTED BY rdsadmin;', 'managed service'],
    ['GRANT SET ON PARAMETER work_mem TO azure_pg_admin;', 'managed service'],
    [`CREATE TABLESPACE fast OWNER clerk LOCATION '/mnt/fast';`, 'Tablespaces'],
    ['ALTER TABLESPACE fast SET (seq_page_cost=1.0);', 'Tablespaces'],
    ['GRANT ALL ON TABLESPACE fast TO clerk;', 'Tablespaces'],
    ['ALTER ROLE postgres WITH NOSUPERUSER LOGIN;', 'stays as every server has it'],
    [`ALTER ROLE postgres SET work_mem TO '8MB';`, 'stays as every server has it'],
    ['ALTER ROLE stranger WITH SUPERUSER;', 'not created here'],
    ['DROP DATABASE shop;', 'not known'],
    ['SECURITY LABEL FOR x ON ROLE clerk IS $$y$$;', 'not known'],
    ['ALTER ROLE postgres WITH NOSUPERUSER;GRANT postgres TO clerk;', 'no superuser where this comes from'],
  ] as const)('leaves out %s and says why', ([sql, why]) => {
    const cleaned = cleanGlobals(sql)
    expect(keptOf(sql)).toBe('')
    expect(cleaned.leftOut.join()).toContain(why)
    expect(cleaned.sql).toContain(`-- ${sql.split(';').at(-2)};`)
  })

  test.for([
    ['GRANT a TO b WITH ADMIN OPTION GRANTED BY c;', 'GRANT a TO b WITH ADMIN OPTION;'],
    ['GRANT a TO "GRANTED BY x" GRANTED BY c;', 'GRANT a TO "GRANTED BY x";'],
    [
      'GRANT tablespace TO b WITH ADMIN OPTION, INHERIT TRUE GRANTED BY azuresu;',
      'GRANT tablespace TO b WITH ADMIN OPTION, INHERIT TRUE;',
    ],
    ['GRANT postgres TO b;', 'GRANT postgres TO b;'],
    ['GRANT SET ON PARAMETER work_mem TO parameter GRANTED BY c;', 'GRANT SET ON PARAMETER work_mem TO parameter;'],
    ['SET standard_conforming_strings = on;', 'SET standard_conforming_strings = on;'],
  ] as const)('keeps %s as %s', ([sql, expected]) => {
    expect(keptOf(sql)).toContain(expected)
    expect(cleanGlobals(sql).leftOut).toEqual([])
  })

  test('a statement of several lines is left out as a comment of all of its lines', () => {
    const { sql } = cleanGlobals("COMMENT ON TABLESPACE fast IS 'one\nDROP DATABASE shop;\ntwo';")
    expect(
      sql
        .trim()
        .split('\n')
        .filter((line) => !line.startsWith('-- ')),
    ).toEqual([])
  })
})

const nasty = 'a "quoted" $do$ role;\n-- with\n\\! everything\' é'
const quoted = `"${nasty.replaceAll('"', '""')}"`

async function globalsOf(cluster: Cluster): Promise<string> {
  const sink = memorySink()
  await dumpGlobals(addressOf(cluster), { tools: await installedTools(), sink, signal: never })
  return sink.bytes().toString()
}

async function load(cluster: Cluster, folder: string, sql: string): Promise<string> {
  const file = join(folder, 'globals.sql')
  await writeFile(file, sql)
  const psql = join(await programsOf(await installedMajor()), 'psql')
  const args = ['--no-psqlrc', '--set=ON_ERROR_STOP=1', '--quiet', '--dbname=postgres', `--file=${file}`]
  const { host, port, superuser, password } = cluster
  const env = { PGHOST: host, PGPORT: String(port), PGUSER: superuser, PGPASSWORD: password, PATH: '/usr/bin:/bin' }
  return (await promisify(execFile)(psql, args, { env })).stderr
}

test('what a server of a managed service had is loaded into a fresh plain server, and twice', async ({ folder }) => {
  await using source = await sourceServer()
  await using target = await sourceServer()
  await run(
    source,
    'postgres',
    `create role azure_pg_admin; create role azuresu superuser replication login;
     create role clerk login createdb valid until '2030-01-01 00:00:00+00' connection limit 3;
     create role ${quoted} replication;
     comment on role ${quoted} is 'it''s; "a\nb"';
     alter role ${quoted} set work_mem to '8MB';
     alter role clerk set search_path to "$user", shop;
     alter role clerk set "azure.extension" to 'on';
     grant azure_pg_admin to clerk; grant pg_read_all_data to azure_pg_admin with admin option;
     grant pg_read_all_data to clerk; grant ${quoted} to clerk with admin option;
     grant set on parameter log_statement to clerk`,
  )
  const original = await globalsOf(source)
  const unknownOnes = `ALTER ROLE clerk SET no_such_parameter TO 'x';\nGRANT pg_of_the_future TO clerk;\nGRANT SET ON PARAMETER no_such_parameter TO clerk;\n`
  const { sql } = cleanGlobals(original + unknownOnes)
  const said = await load(target, folder, sql)
  expect(said).toContain('no_such_parameter')
  expect(await load(target, folder, sql)).not.toMatch(/ERROR/)
  await using connection = connect(target)
  const roles =
    await connection`select rolname, rolcanlogin, rolcreatedb, rolreplication, rolconnlimit, array_to_string(rolconfig, '|') as rolconfig,
    shobj_description(oid, 'pg_authid') as comment from pg_roles where rolname !~ '^pg_' and not rolsuper order by rolname`
  expect(roles).toEqual([
    expect.objectContaining({
      rolname: nasty,
      rolreplication: true,
      rolconfig: 'work_mem=8MB',
      comment: 'it\'s; "a\nb"',
    }),
    expect.objectContaining({ rolname: 'clerk', rolcanlogin: true, rolcreatedb: true, rolconnlimit: 3 }),
  ])
  expect(roles[1]?.rolconfig).toContain('search_path="$user", shop')
  const memberships =
    await connection`select roleid::regrole::text as role, member::regrole::text as member, admin_option
    from pg_auth_members where member::regrole::text = 'clerk' order by 1`
  expect(memberships.map(({ admin_option: isAdmin }) => isAdmin).toSorted()).toEqual([false, true])
})

test('a role that is there already stays as it is', async ({ folder }) => {
  await using target = await sourceServer()
  await run(target, 'postgres', 'create role clerk nologin')
  await load(
    target,
    folder,
    cleanGlobals(`CREATE ROLE clerk; ALTER ROLE clerk WITH LOGIN SUPERUSER; ALTER ROLE clerk SET work_mem TO '8MB';`)
      .sql,
  )
  expect(
    await run(target, 'postgres', `select rolcanlogin, rolsuper, rolconfig from pg_roles where rolname = 'clerk'`),
  ).toEqual([{ rolcanlogin: false, rolsuper: false, rolconfig: null }])
})
