import { chown, mkdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect } from 'vitest'
import { compareVersions } from '../src/engine/extension-version.ts'
import type { DatabaseReport } from '../src/engine/inspect.ts'
import { inspectServer } from '../src/engine/inspect.ts'
import { refuseForeignOwner } from '../src/engine/restore-conditions.ts'
import { openSession } from '../src/engine/session.ts'
import { lookForLocale } from '../src/engine/target/check-locale.ts'
import { checkTarget } from '../src/engine/target/check-target.ts'
import type { Finding } from '../src/engine/target/finding.ts'
import type { RestorePlan } from '../src/engine/target/plan.ts'
import { markTemporary } from '../src/engine/temporary-database.ts'
import { addressOf, connect, createDatabase, never, run } from './kit/engine.ts'
import { sourceServer } from './kit/source-server.ts'
import { test } from './kit/test.ts'

const plain: DatabaseReport = {
  name: 'shop',
  sizeBytes: 8_000_000,
  ownerName: 'holdfast',
  encoding: 'UTF8',
  localeProvider: 'LIBC',
  collate: 'C',
  ctype: 'C',
  locale: null,
  icuRules: null,
  connectionLimit: -1,
  comment: null,
  settings: [],
  acl: null,
  extensions: [],
  tablespaces: [],
}

function planOf(source: Partial<DatabaseReport>, changes: Partial<RestorePlan> & { targetName?: string } = {}) {
  const { targetName = 'restored', ...plan } = changes
  return {
    databases: [{ source: { ...plain, ...source }, targetName, tableCount: 3 }],
    roles: [],
    ownership: { kind: 'NONE' },
    sourceVersionNumber: 150_000,
    connectionCount: 2,
    token: 'test_probe',
    ...plan,
  } satisfies RestorePlan
}

/** What was found of one kind, as one line each. */
function lines(findings: readonly Finding[], kind: Finding['kind']): string[] {
  return findings
    .filter((finding) => finding.kind === kind)
    .map(({ status, subject, code }) => `${status} ${subject}${code ? ` ${code}` : ''}`)
}

async function leftoversOn(server: Parameters<typeof run>[0]): Promise<unknown[]> {
  return run(server, 'postgres', `select datname from pg_database where datname like 'holdfast\\_%'`)
}

describe('A server looked at before a restore', () => {
  test('that fits has nothing against it but what cannot be known, and the advice not to be a superuser', async ({
    source,
  }) => {
    const { server, findings } = await checkTarget(addressOf(source), planOf({}), { signal: never })
    expect(server?.versionNumber).toBeGreaterThan(150_000)
    expect(findings.filter(({ status }) => status !== 'PASSED').map(({ kind, status }) => `${kind} ${status}`)).toEqual(
      ['LEAST_PRIVILEGE WARNING', 'FREE_SPACE SKIPPED'],
    )
    expect(findings.find(({ kind }) => kind === 'FREE_SPACE')?.message).toContain('8000000 bytes')
    expect(await leftoversOn(source)).toEqual([])
  })

  test('by a superuser has the advice not to be one, also where everything goes to a lesser role', async ({
    source,
  }) => {
    await run(source, 'postgres', 'create role lesser')
    const plan = planOf({}, { ownership: { kind: 'TO_ROLE', role: 'lesser' } })
    const { findings } = await checkTarget(addressOf(source), plan, { signal: never })
    expect(lines(findings, 'LEAST_PRIVILEGE')).toEqual([`WARNING ${source.superuser}`])
    expect(findings.find(({ kind }) => kind === 'LEAST_PRIVILEGE')?.message).toContain('not from intent')
  })

  test('gets one connection more for all targets that exist, not one for each', async () => {
    await using server = await sourceServer()
    const targetNames = Array.from({ length: 12 }, (_, index) => `target ${index}`)
    for (const name of targetNames) await createDatabase(server, '', name)
    await run(server, 'postgres', `create role few login createdb connection limit 4 password 'few'`)
    const address = addressOf(server, { username: 'few', password: 'few' })
    const databases = targetNames.map((targetName) => ({ source: plain, targetName, tableCount: 1 }))
    const { findings } = await checkTarget(address, planOf({}, { databases }), { signal: never })
    expect(lines(findings, 'TARGET_DATABASE')).toEqual(targetNames.map((name) => `PASSED ${name}`))
  })

  test('that does not answer, or does not let the role in, says which', async ({ source }) => {
    const asked = async (changes: Parameters<typeof addressOf>[1]) => {
      const { server, findings } = await checkTarget(addressOf(source, changes), planOf({}), { signal: never })
      expect(server).toBeNull()
      return findings.map(({ kind, code }) => `${kind} ${code}`)
    }
    expect(await asked({ port: 1 })).toEqual(['CONNECTION SERVER_UNREACHABLE'])
    expect(await asked({ password: 'wrong' })).toEqual(['CONNECTION AUTHENTICATION_FAILED'])
    expect(await asked({ tlsMode: 'REQUIRE' })).toEqual(['CONNECTION TLS_UNAVAILABLE'])
  })

  test('warns of CREATEROLE where code that is restored could get at the server with it', async ({ source }) => {
    await run(source, 'postgres', `create role maker login password 'm' createdb createrole`)
    const asked = await checkTarget(addressOf(source, { username: 'maker', password: 'm' }), planOf({}), {
      signal: never,
    })
    const isBefore16 = (asked.server?.versionNumber ?? 0) < 160_000
    expect(lines(asked.findings, 'LEAST_PRIVILEGE')).toEqual([isBefore16 ? 'WARNING maker' : 'PASSED maker'])
  })

  test('names every right that the role lacks, with the statement that gives it', async ({ source }) => {
    await run(source, 'postgres', `create role "poor ""role" login password 'x'; create role owner; create role other`)
    const address = addressOf(source, { username: 'poor "role', password: 'x' })
    const roles = (await inspectServer(addressOf(source))).roles
    const missing = { ...roles.find(({ name }) => name === 'owner'), name: 'unknown' } as (typeof roles)[number]
    const occupied = await createDatabase(source)
    const plan = planOf(
      { ownerName: 'owner', extensions: [{ name: 'file_fdw', version: '1.0', schema: 'public' }] },
      {
        roles: [...roles.filter(({ name }) => name === 'other'), missing],
        ownership: { kind: 'KEEP' },
        targetName: occupied,
      },
    )
    const { findings } = await checkTarget(address, plan, { signal: never })
    expect(lines(findings, 'RIGHTS')).toEqual([
      'PROBLEM poor "role PERMISSION_DENIED',
      `PROBLEM ${occupied} PERMISSION_DENIED`,
    ])
    expect(lines(findings, 'ROLES')).toEqual([
      'PROBLEM unknown ROLE_MISSING',
      'PROBLEM owner PERMISSION_DENIED',
      'WARNING other',
    ])
    expect(lines(findings, 'EXTENSIONS')).toEqual(['PROBLEM file_fdw PERMISSION_DENIED'])
    expect(findings.flatMap(({ cures }) => cures)).toEqual(
      expect.arrayContaining([
        'As a superuser: ALTER ROLE "poor ""role" CREATEDB',
        'GRANT "owner" TO "poor ""role"',
        'CREATE ROLE "unknown"',
      ]),
    )
    const toRole = async (role: string) => {
      const { findings: found } = await checkTarget(address, planOf({}, { ownership: { kind: 'TO_ROLE', role } }), {
        signal: never,
      })
      return lines(found, 'ROLES')
    }
    expect(await toRole('owner')).toEqual(['PROBLEM owner PERMISSION_DENIED'])
    expect(await toRole('nobody')).toEqual(['PROBLEM nobody ROLE_MISSING'])
    expect(await toRole('poor "role')).toEqual(['PASSED poor "role'])
  })

  test('takes a membership that lets nobody act as the other role for none, before anything is restored', async () => {
    await using target = await sourceServer({ major: 18 })
    await run(
      target,
      'postgres',
      `create role maker login password 'x' createdb; create role owner; grant owner to maker with set false`,
    )
    const empty = await createDatabase(target, '', 'empty')
    await run(target, 'postgres', 'alter database empty owner to owner')
    const address = addressOf(target, { username: 'maker', password: 'x' })
    const { findings } = await checkTarget(address, planOf({}, { targetName: empty }), { signal: never })
    expect(lines(findings, 'RIGHTS')).toEqual(['PASSED maker', 'PROBLEM empty PERMISSION_DENIED'])
    expect(findings.flatMap(({ cures }) => cures)).toContain('GRANT "owner" TO "maker" WITH SET TRUE')
    await using session = await openSession(address, 'postgres', { signal: never })
    await expect(refuseForeignOwner(session, 'owner', 'own it')).rejects.toMatchObject({ code: 'PERMISSION_DENIED' })
  })

  test('tells what an empty database that is replaced does not pass on', async ({ folder }) => {
    await using target = await sourceServer()
    const place = join(folder, 'place')
    await mkdir(place)
    const { uid, gid } = await stat(target.dataDir)
    await chown(place, uid, gid)
    await run(target, 'postgres', `create tablespace fast location '${place}'`)
    await run(target, 'postgres', 'create database placed tablespace fast is_template true')
    const { findings } = await checkTarget(addressOf(target), planOf({}, { targetName: 'placed' }), { signal: never })
    expect(lines(findings, 'TARGET_DATABASE')).toEqual(['PASSED placed', 'WARNING placed', 'WARNING placed'])
    expect(findings.flatMap(({ cures }) => cures).join()).toContain('ALTER DATABASE "placed" SET TABLESPACE "fast"')
  })

  test('names what lies where a database shall be, and who uses it', async ({ source }) => {
    const full = await createDatabase(source, 'create table precious (id int)')
    const used = await createDatabase(source, '', 'used = "by" others\n')
    await using session = connect(source, used)
    await session`set application_name = 'nightly report'`
    const plan: RestorePlan = {
      ...planOf({}),
      databases: [full, used, 'free'].map((targetName) => ({ source: plain, targetName, tableCount: 1 })),
    }
    const { findings } = await checkTarget(addressOf(source), plan, { signal: never })
    expect(lines(findings, 'TARGET_DATABASE')).toEqual([
      `PROBLEM ${full} TARGET_NOT_EMPTY`,
      `PASSED ${used}`,
      'PASSED free',
    ])
    expect(lines(findings, 'SESSIONS')).toEqual([`PASSED ${full}`, `PROBLEM ${used} TARGET_IN_USE`])
    const messages = findings.map(({ message }) => message).join('\n')
    expect(messages).toContain('it holds relation precious')
    expect(messages).toContain('1 session (nightly report)')
  })

  test('that is older, and lacks extensions, tablespaces and libraries, names each', async () => {
    await using target = await sourceServer({
      major: 18,
      settings: { max_locks_per_transaction: '10', max_connections: '10' },
    })
    const source = {
      extensions: [
        { name: 'adminpack', version: '2.1', schema: 'pg_catalog' },
        { name: 'old_snapshot', version: '1.0', schema: 'public' },
        { name: 'hstore', version: '99.0', schema: 'public' },
        { name: 'pg_stat_statements', version: '1.10', schema: 'public' },
        { name: 'plpgsql', version: '1.0', schema: 'pg_catalog' },
      ],
      tablespaces: ['fast disk'],
    }
    const databases = [{ source: { ...plain, ...source }, targetName: 'restored', tableCount: 5000 }]
    const plan: RestorePlan = { ...planOf({}), databases, sourceVersionNumber: 190_000 }
    const { findings } = await checkTarget(addressOf(target), plan, { signal: never })
    expect(lines(findings, 'EXTENSIONS')).toEqual([
      'PROBLEM adminpack EXTENSION_MISSING',
      'PROBLEM old_snapshot EXTENSION_MISSING',
      'WARNING hstore',
      'PASSED pg_stat_statements',
    ])
    expect(lines(findings, 'PRELOADED_LIBRARIES')).toEqual(['WARNING pg_stat_statements'])
    expect(lines(findings, 'TABLESPACES')).toEqual(['WARNING fast disk'])
    expect(lines(findings, 'LOCKS')).toEqual(['WARNING restored'])
    expect(lines(findings, 'SERVER_VERSION')).toEqual([expect.stringMatching(/^WARNING PostgreSQL 18/)])
  })

  test('that has no connection left, or is read-only, says so', async ({ source }) => {
    await run(source, 'postgres', `create role single login createdb password 'x' connection limit 1`)
    const address = addressOf(source, { username: 'single', password: 'x' })
    const { findings } = await checkTarget(address, planOf({}), { signal: never })
    expect(lines(findings, 'CONNECTIONS')).toEqual(['PROBLEM single TOO_MANY_CONNECTIONS'])
    expect(lines(findings, 'PRELOADED_LIBRARIES')).toEqual(['PASSED shared_preload_libraries'])
    await run(
      source,
      'postgres',
      `alter role single set default_transaction_read_only = on; alter role single connection limit -1`,
    )
    const later = await checkTarget(address, planOf({}), { signal: never })
    expect(lines(later.findings, 'WRITABLE')).toEqual(['WARNING server'])
    expect(lines(later.findings, 'CONNECTIONS')).toEqual(['PASSED single'])
  })

  test('that has databases of an unfinished restore names them and leaves them alone', async ({ source }) => {
    await createDatabase(source, '', 'holdfast_restoring_somebody_else')
    await using session = await openSession(addressOf(source), 'postgres')
    await markTemporary(session, 'holdfast_restoring_somebody_else')
    const { findings } = await checkTarget(addressOf(source), planOf({}), { signal: never })
    expect(lines(findings, 'TARGET_DATABASE')).toEqual(['PASSED restored', 'WARNING holdfast_restoring_somebody_else'])
    expect(await leftoversOn(source)).toHaveLength(1)
    await run(source, 'postgres', 'drop database holdfast_restoring_somebody_else')
  })
})

describe('A locale', () => {
  test('that the catalogues do not tell of is tried, and nothing of the trial stays', async ({ source }) => {
    const found = async (locale: Partial<DatabaseReport>) => {
      const { findings } = await checkTarget(addressOf(source), planOf(locale), { signal: never })
      expect(await leftoversOn(source)).toEqual([])
      return findings
        .filter(({ kind }) => kind === 'LOCALE')
        .map(({ status, code, message }) => ({ status, code, message }))
    }
    expect(await found({ localeProvider: 'ICU', locale: 'de-DE', encoding: 'LATIN1' })).toEqual([
      { status: 'PASSED', code: null, message: expect.stringContaining('was made and dropped') },
    ])
    expect(await found({ collate: 'xx_YY.UTF-8', ctype: 'xx_YY.UTF-8' })).toEqual([
      { status: 'PROBLEM', code: 'LOCALE_MISSING', message: expect.stringContaining('xx_YY.UTF-8') },
    ])
    expect(await found({ localeProvider: 'BUILTIN', locale: 'C.UTF-8' })).toEqual([
      { status: 'PROBLEM', code: 'LOCALE_MISSING', message: expect.stringContaining('PostgreSQL 17 or newer') },
    ])
  })

  test('is not tried by a role that may not create databases', async ({ source }) => {
    await run(source, 'postgres', `create role modest login password 'x'`)
    const address = addressOf(source, { username: 'modest', password: 'x' })
    const { findings } = await checkTarget(address, planOf({ collate: 'xx_YY.UTF-8' }), { signal: never })
    expect(lines(findings, 'LOCALE')).toEqual(['SKIPPED shop'])
  })

  test.for([
    ['C in any encoding', { encoding: 'LATIN1' }, 'YES'],
    ['one that a database has, in another spelling', { collate: 'en_US.UTF-8', ctype: 'en_US.UTF-8' }, 'YES'],
    ['one among the collations', { collate: 'de_DE.utf8', ctype: 'C' }, 'YES'],
    [
      'one among the collations for another encoding',
      { collate: 'de_DE.utf8', ctype: 'C', encoding: 'LATIN1' },
      'UNKNOWN',
    ],
    ['an unknown one', { collate: 'xx', ctype: 'xx' }, 'UNKNOWN'],
    ['ICU, on a server without it', { localeProvider: 'ICU', locale: 'de' }, 'NO'],
    ['the builtin provider, on an older server', { localeProvider: 'BUILTIN', locale: 'C' }, 'NO'],
  ] as const)('is known: %s', ([, source, kind]) => {
    const facts = {
      versionNumber: 150_000,
      databases: [
        {
          ...plain,
          name: 'postgres',
          collate: 'en_US.utf8',
          ctype: 'en_US.utf8',
          sessionCount: 0,
          applications: [],
          preparedTransactionCount: 0,
        },
      ],
      collations: [{ collate: 'de_DE.utf8', ctype: 'de_DE.utf8', encoding: 'UTF8' }],
      hasIcu: false,
    }
    expect(lookForLocale(facts, { ...plain, ...source }).kind).toBe(kind)
  })
})

test.for([
  ['1.9', '1.10', -1],
  ['2.0', '2.0.1', -1],
  ['3.4.0', '3.4.0', 0],
  ['1.3b', '1.3a', 1],
  ['10', '9.6', 1],
] as const)('version %s of an extension is ordered beside %s', ([left, right, order]) => {
  expect(Math.sign(compareVersions(left, right))).toBe(order)
})
