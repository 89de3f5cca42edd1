import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { chooseDumpTools, chooseRestoreTools } from '../src/engine/choose-tools.ts'
import { asEngineError, classify, programFailure } from '../src/engine/classify.ts'
import { compareRows } from '../src/engine/compare-rows.ts'
import { settingValue } from '../src/engine/database-properties.ts'
import { EngineError, type EngineErrorCode } from '../src/engine/engine-error.ts'
import { findTools, type Toolset } from '../src/engine/find-tools.ts'
import { isOnlyHarmless, toleratesHarmlessError } from '../src/engine/harmless-error.ts'
import { quoteIdentifier, quoteLiteral } from '../src/engine/quote.ts'
import { redact } from '../src/engine/redact.ts'
import { runTool } from '../src/engine/run-tool.ts'
import { failures } from '../src/failure.ts'
import { differenceOf } from '../src/worker/verify/restore-verdict.ts'
import { never } from './kit/engine.ts'
import { temporaryFolder } from './kit/temporary-folder.ts'

const connecting = 'pg_dump: error: connection to server at "db" (10.0.0.1), port 5432 failed:'

/** What the programs say with LC_ALL=C, and what it means. */
const said: readonly (readonly [EngineErrorCode, string])[] = [
  ['AUTHENTICATION_FAILED', `${connecting} FATAL:  password authentication failed for user "holdfast"`],
  ['AUTHENTICATION_FAILED', `${connecting} fe_sendauth: no password supplied`],
  ['AUTHENTICATION_FAILED', `${connecting} FATAL:  no pg_hba.conf entry for host "10.0.0.9", user "x", database "y"`],
  ['AUTHENTICATION_FAILED', `${connecting} FATAL:  role "nobody" does not exist`],
  ['AUTHENTICATION_FAILED', `${connecting} FATAL:  role "x" is not permitted to log in`],
  ['SERVER_UNREACHABLE', `${connecting} Connection refused\n\tIs the server running on that host?`],
  ['SERVER_UNREACHABLE', `${connecting} timeout expired`],
  ['SERVER_UNREACHABLE', `${connecting} No route to host`],
  ['HOST_UNKNOWN', 'pg_dump: error: could not translate host name "db.invalid" to address: Name or service not known'],
  ['TLS_UNAVAILABLE', `${connecting} server does not support SSL, but SSL was required`],
  ['TLS_UNTRUSTED', `${connecting} SSL error: certificate verify failed`],
  ['TLS_UNTRUSTED', `${connecting} root certificate file "/x" does not exist`],
  ['TLS_UNTRUSTED', `${connecting} server certificate for "db1" does not match host name "db2"`],
  ['DATABASE_MISSING', `${connecting} FATAL:  database "gone" does not exist`],
  ['SERVER_NOT_ACCEPTING', `${connecting} FATAL:  database "x" is not currently accepting connections`],
  ['SERVER_NOT_ACCEPTING', `${connecting} FATAL:  the database system is starting up`],
  ['TOO_MANY_CONNECTIONS', `${connecting} FATAL:  sorry, too many clients already`],
  ['TOO_MANY_CONNECTIONS', `${connecting} FATAL:  remaining connection slots are reserved for superusers`],
  [
    'SERVER_TOO_NEW',
    'pg_dump: error: aborting because of server version mismatch\npg_dump: detail: server version: 18.4',
  ],
  ['PERMISSION_DENIED', 'pg_dump: error: query failed: ERROR:  permission denied for table t'],
  ['PERMISSION_DENIED', 'pg_dump: error: query failed: ERROR:  permission denied for large object 4711'],
  ['ROW_LEVEL_SECURITY', 'ERROR:  query would be affected by row-level security policy for table "t"'],
  [
    'TABLE_LOCKED',
    'pg_dump: error: query failed: ERROR:  canceling statement due to statement timeout\npg_dump: detail: Query was: LOCK TABLE public.t IN ACCESS SHARE MODE',
  ],
  ['TABLE_LOCKED', 'pg_dump: error: could not obtain lock on relation "public.t"'],
  ['QUERY_CANCELLED', 'pg_dump: error: query failed: ERROR:  canceling statement due to user request'],
  ['CONNECTION_LOST', 'FATAL:  terminating connection due to administrator command'],
  ['CONNECTION_LOST', 'pg_dump: error: query failed: server closed the connection unexpectedly'],
  ['CONNECTION_LOST', 'pg_dump: error: query failed: SSL connection has been closed unexpectedly'],
  ['CONNECTION_LOST', 'pg_basebackup: error: could not read COPY data: '],
  ['TOOL_KILLED', 'pg_dump: terminated by user'],
  ['TARGET_FULL', 'ERROR:  could not extend file "base/1/2": No space left on device'],
  ['ARCHIVE_UNREADABLE', 'pg_restore: error: could not read from input file: end of file'],
  ['ARCHIVE_UNREADABLE', 'pg_restore: error: input file does not appear to be a valid archive'],
  ['ARCHIVE_UNREADABLE', 'pg_restore: error: could not uncompress data: incorrect data check'],
  ['ARCHIVE_UNREADABLE', 'pg_restore: error: unsupported version (1.16) in file header'],
  ['ARCHIVE_UNREADABLE', 'pg_restore: [custom archiver] found unexpected block ID (7) when reading data -- expected 8'],
  ['EXTENSION_MISSING', 'pg_restore: error: could not execute query: ERROR:  extension "postgis" is not available'],
  ['ROLE_MISSING', 'pg_restore: error: could not execute query: ERROR:  role "team" does not exist'],
  [
    'SERVER_RESOURCES_EXHAUSTED',
    'ERROR:  out of shared memory\nHINT:  You might need to increase max_locks_per_transaction.',
  ],
  ['TARGET_IN_USE', 'ERROR:  database "x" is being accessed by other users'],
  ['TOOLS_MISSING', 'setpriv: failed to execute /nowhere/pg_dump: No such file or directory'],
]

/** What the driver and the system say in codes. */
const codes: readonly (readonly [EngineErrorCode, string])[] = [
  ['AUTHENTICATION_FAILED', '28P01'],
  ['AUTHENTICATION_FAILED', '28000'],
  ['DATABASE_MISSING', '3D000'],
  ['SERVER_NOT_ACCEPTING', '57P03'],
  ['TOO_MANY_CONNECTIONS', '53300'],
  ['SERVER_UNREACHABLE', 'ECONNREFUSED'],
  ['SERVER_UNREACHABLE', 'CONNECT_TIMEOUT'],
  ['HOST_UNKNOWN', 'ENOTFOUND'],
  ['HOST_UNKNOWN', 'EAI_AGAIN'],
  ['TLS_UNTRUSTED', 'DEPTH_ZERO_SELF_SIGNED_CERT'],
  ['TLS_UNTRUSTED', 'ERR_TLS_CERT_ALTNAME_INVALID'],
  ['PERMISSION_DENIED', '42501'],
  ['TABLE_LOCKED', '55P03'],
  ['QUERY_CANCELLED', '57014'],
  ['CONNECTION_LOST', '57P01'],
  ['CONNECTION_LOST', 'ECONNRESET'],
  ['CONNECTION_LOST', 'CONNECTION_CLOSED'],
  ['TARGET_FULL', '53100'],
  ['TARGET_IN_USE', '55006'],
  ['SERVER_RESOURCES_EXHAUSTED', '53200'],
]

const toolset = (major: number): Toolset => ({ major, version: `${major}.1`, directory: '/x', canCompressZstd: false })
const codeOf = (work: () => unknown) => {
  try {
    work()
    return undefined
  } catch (error) {
    return error instanceof EngineError ? error.code : error
  }
}

describe('A failure is told by what was said', () => {
  test.for(said)('%s: %s', ([code, text]) => expect(classify({ text })).toBe(code))
  test.for(codes)('%s: code %s', ([code, each]) =>
    expect(classify({ text: 'in another language', code: each })).toBe(code),
  )

  test('and by the rule of row-level security before the code that it shares', () => {
    const text = 'query would be affected by row-level security policy for table "t"'
    expect(classify({ text, code: '42501' })).toBe('ROW_LEVEL_SECURITY')
  })

  test.for([
    'could not execute query: ERROR:  function public.is_corrupt(integer) does not exist\nCommand was: CREATE INDEX i ON t (is_corrupt(b));',
    'COPY failed for table "corrupted_uploads": ERROR:  invalid code for "unexpected end of file"',
    'could not execute query: ERROR:  index "i" contains corrupted page at block 4',
    'COPY failed for table "log": ERROR:  too long\nCONTEXT:  COPY log, line 7: "permission denied, terminating connection"',
    'could not execute query: ERROR:  a check failed\nCommand was: SELECT 1;\n-- permission denied',
    'could not read from input file: Input/output error',
  ])('never by the names, rows and statements that are quoted: %s', (text) => {
    const end = { exitCode: 1, killedBy: null, stderr: `pg_restore: error: ${text}\n` }
    expect(programFailure('Restoring', end, { secrets: [], otherwise: 'RESTORE_FAILED' }).code).toBe('RESTORE_FAILED')
  })

  test('or, when nothing is known, by what was being done', () => {
    const end = { exitCode: 1, killedBy: null, stderr: 'pg_restore: error: something new' }
    const failure = programFailure('Restoring', end, { secrets: [], otherwise: 'RESTORE_FAILED' })
    expect(failure).toMatchObject({ code: 'RESTORE_FAILED', message: 'Restoring failed: something new.' })
    expect(
      programFailure('Dumping', { ...end, killedBy: 'SIGKILL' }, { secrets: [], otherwise: 'TOOL_FAILED' }),
    ).toMatchObject({ code: 'TOOL_KILLED', message: 'Dumping was ended by SIGKILL.' })
    expect(asEngineError(new Error('strange'), 'Asking')).toMatchObject({ code: 'TOOL_FAILED' })
  })
})

test('A locale that is missing has a way out that there is: an empty database of another locale is no target', () => {
  const actions = failures.LOCALE_MISSING.recommendedActions.join(' ')
  expect(actions).toContain('restore as files')
  expect(actions).not.toContain('empty database')
})

describe('A restore that fails on a scratch server', () => {
  const verdict = (stderr: string) => {
    const end = { exitCode: 1, killedBy: null, stderr: `pg_restore: error: ${stderr}\n` }
    const cause = programFailure('Restoring database "locale"', end, { secrets: [], otherwise: 'RESTORE_FAILED' })
    const artifact = { kind: 'DATABASE', database: 'shop' } as Parameters<typeof differenceOf>[1]['artifact']
    return differenceOf(cause, { artifact, isSameMajor: true })
  }

  test.for([
    'COPY failed for table "library": ERROR:  duplicate key value violates unique constraint "library_pkey"\nDETAIL:  Key (locale)=(de) already exists.\nCONTEXT:  COPY library, line 2',
    'ERROR:  a check failed\npg_restore: from TOC entry 3310; 0 16389 TABLE DATA collation postgres',
  ])('is held against the data whatever that is called: %s', (stderr) => {
    expect(verdict(stderr)).toContain('"shop" does not restore')
  })

  test.for([
    'could not execute query: ERROR:  could not load library "/usr/lib/x.so"',
    'could not execute query: ERROR:  collation "x" for encoding "UTF8" does not exist',
    'could not execute query: ERROR:  must be superuser to create a base type',
  ])('is not where the server is what lacks something: %s', (stderr) => {
    expect(verdict(stderr)).toBeUndefined()
  })
})

describe('What is shown of a failure', () => {
  test('holds no secret, no row and no statement', () => {
    const text = [
      'connection with hunter22 failed',
      'CONTEXT:  COPY people, line 3, column email: "anna@example.org"',
      'CONTEXT:  COPY people, line 3: "anna@example.org\\t7"',
      'DETAIL:  Failing row contains (1, anna@example.org).',
      'DETAIL:  Key (email)=(anna@example.org) already exists.',
      `Command was: CREATE USER MAPPING FOR x OPTIONS (`,
      `    password 'anna@example.org'`,
      `);`,
      'pg_restore: error: the next one',
    ].join('\n')
    const shown = redact(text, ['hunter22', ''])
    expect(shown).not.toMatch(/hunter22|anna/)
    expect(shown).toContain('COPY people, line 3, column email')
    expect(shown).toContain('pg_restore: error: the next one')
  })

  test.for([
    'ERROR:  new row violates check constraint "c"\nDETAIL:  Failing row contains (1, SECRET\nSECRET).',
    'DETAIL:  Key (a, b)=(SECRET\nSECRET, 1) already exists.',
    'DETAIL:  Partition key of the failing row contains (a) = (SECRET).',
    'CONTEXT:  COPY t, line 1, column b: "SECRET\nSECRET"',
    'pg_restore: error: COPY failed for table "t": ERROR:  invalid input syntax for type integer: "SECRET"',
    'ERROR:  invalid input syntax for type json\nDETAIL:  Token "SECRET" is invalid.\nCONTEXT:  JSON data, line 1: {"a": SECRET...',
    'ERROR:  invalid input value for enum mood: "SECRET"',
    'ERROR:  malformed array literal: "SECRET"\nDETAIL:  Array value must start with "{".',
    'ERROR:  value "SECRET" is out of range for type integer',
    'ERROR:  date/time field value out of range: "SECRET"',
  ])('holds nothing of a row, over however many lines it goes: %j', (said) => {
    const shown = redact(`${said}\nHINT:  Look at it.\npg_restore: error: the next one`, [])
    expect(shown).not.toContain('SECRET')
    expect(shown).toContain('[left out]')
    expect(shown).toMatch(/\nHINT: {2}Look at it.\npg_restore: error: the next one$/)
  })

  test('is at most 16 KiB, its end kept', () => {
    const shown = redact(`${'x'.repeat(100_000)} the end`, [])
    expect(shown.length).toBeLessThan(16_500)
    expect(shown).toMatch(/the end$/)
  })
})

describe('Choosing programs', () => {
  const found = [13, 15, 17].map(toolset)

  test.for([
    [13, 130_004],
    [15, 140_010],
    [15, 150_018],
    [17, 160_001],
    [13, 100_023],
  ] as const)('takes pg_dump %i for server %i', ([major, server]) => {
    expect(chooseDumpTools(found, server).tools.major).toBe(major)
  })

  test.for([
    [15, 15, 150_000],
    [17, 15, 180_000],
    [15, 13, 150_000],
    [13, 13, 120_000],
    [17, 16, 130_000],
  ] as const)('takes pg_restore %i for an archive of pg_dump %i and server %i', ([major, archiveToolMajor, server]) => {
    expect(chooseRestoreTools(found, { archiveToolMajor, targetVersionNumber: server }).tools.major).toBe(major)
  })

  test('says what is missing', () => {
    expect(codeOf(() => chooseDumpTools(found, 180_000))).toBe('SERVER_TOO_NEW')
    expect(codeOf(() => chooseDumpTools([], 150_000))).toBe('TOOLS_MISSING')
    const archive = { archiveToolMajor: 18, targetVersionNumber: 180_000 }
    expect(codeOf(() => chooseRestoreTools(found, archive))).toBe('TOOLS_MISSING')
    expect(chooseDumpTools(found, 150_018).reason).toContain('15.1')
  })
})

test('A pg_dump that fails before it would connect is not taken for one that knows zstd', async () => {
  await using folder = await temporaryFolder()
  for (const name of ['pg_dump', 'pg_restore', 'pg_dumpall']) {
    const script = `#!/bin/sh\ntest "$1" = --version && echo "${name} (PostgreSQL) 99.1" && exit\necho 'error while loading shared libraries' >&2; exit 127\n`
    await writeFile(join(folder.path, name), script, { mode: 0o755 })
  }
  const found = await findTools({ extraDirectories: [folder.path] })
  expect(found.at(-1)).toMatchObject({ major: 99, canCompressZstd: false })
})

describe('The one error that a restore may meet', () => {
  const harmless = [
    'pg_restore: while INITIALIZING:',
    'pg_restore: error: could not execute query: ERROR:  unrecognized configuration parameter "transaction_timeout"',
    'Command was: SET transaction_timeout = 0;',
    '',
    'pg_restore: warning: errors ignored on restore: 1',
    '',
  ].join('\n')
  const end = { exitCode: 1, killedBy: null, stderr: harmless }

  test('is met by pg_restore 17 and newer in servers before 17 only', () => {
    expect(toleratesHarmlessError(toolset(17), 160_004)).toBe(true)
    expect(toleratesHarmlessError(toolset(17), 170_000)).toBe(false)
    expect(toleratesHarmlessError(toolset(16), 150_000)).toBe(false)
  })

  test('is known by its exact text and its count', () => {
    const isOnly = isOnlyHarmless(1)
    expect(isOnly(end)).toBe(true)
    for (const stderr of [
      harmless.replace('restore: 1', 'restore: 2'),
      harmless.replace('transaction_timeout"', 'other_timeout"'),
      `${harmless}pg_restore: error: could not execute query: ERROR:  relation "t" already exists\n`,
      harmless.replace('pg_restore: warning: errors ignored on restore: 1', ''),
      harmless.repeat(2),
      '',
    ]) {
      expect(isOnly({ ...end, stderr })).toBe(false)
    }
    expect(isOnly({ ...end, exitCode: 2 })).toBe(false)
    expect(isOnly({ ...end, exitCode: null, killedBy: 'SIGKILL' })).toBe(false)
  })

  test('is not told as a warning, and what is one still is', async () => {
    await using folder = await temporaryFolder()
    const script = `#!/bin/sh\ncat >&2 <<'END'\n${harmless}pg_restore: warning: something else\nEND\nexit 1\n`
    await writeFile(join(folder.path, 'pg_restore'), script, { mode: 0o755 })
    const tools = { ...toolset(17), directory: folder.path }
    const isHarmless = isOnlyHarmless(1)
    const ran = runTool({ tool: 'pg_restore', tools, args: [], what: 'Restoring', signal: never, isHarmless })
    expect(await ran).toEqual(['something else'])
  })

  test('is met by every connection of a parallel restore', () => {
    const isOnly = isOnlyHarmless(2)
    const lines = harmless.split('\n')
    const error = lines.slice(0, 4).join('\n')
    const many = `${error}${error}${error}${error}pg_restore: warning: errors ignored on restore: 2\n`
    expect(isOnly({ ...end, stderr: many })).toBe(true)
    expect(isOnly(end)).toBe(true)
    for (const stderr of [
      many.replace('restore: 2', 'restore: 5'),
      many.replace('"transaction_timeout"', '"other_timeout"'),
      many.replace('SET transaction_timeout', 'SET other_timeout'),
      `${many}pg_restore: error: could not execute query: ERROR:  relation "t" already exists\n`,
      many.replace(/pg_restore: warning.*\n/, ''),
    ]) {
      expect(isOnly({ ...end, stderr })).toBe(false)
    }
  })
})

describe('Comparing rows', () => {
  const table = (name: string, rows: number) => ({ schema: 'public', name, rows })

  test('finds nothing between equals, in whatever order', () => {
    const left = { tables: [table('a', 1), table('b', 2)], largeObjectCount: 3 }
    expect(compareRows(left, { ...left, tables: left.tables.toReversed() })).toEqual([])
  })

  test('names every difference', () => {
    const expected = { tables: [table('a', 1), table('b "x"', 2), table('empty', 0)], largeObjectCount: 3 }
    const actual = { tables: [table('a', 0), table('new', 5)], largeObjectCount: 2 }
    expect(compareRows(expected, actual).map(({ message }) => message)).toEqual([
      'Table "public"."a" has 0 rows instead of 1.',
      'Table "public"."b ""x""" is missing; it had 2 rows.',
      'Table "public"."empty" is missing; it had 0 rows.',
      'Table "public"."new" with 5 rows was not in the backup.',
      'There are 2 large objects instead of 3.',
    ])
  })
})

describe('Quoting', () => {
  test('leaves nothing to interpretation', () => {
    expect(quoteIdentifier(`a"b`)).toBe('"a""b"')
    expect(quoteLiteral(`it's`)).toBe(`'it''s'`)
    expect(quoteLiteral(`\\'`)).toBe(` E'\\\\'''`)
    expect(() => quoteIdentifier('a\0b')).toThrow(RangeError)
    expect(settingValue('search_path', '"$user", "A ""b", public')).toBe(`'$user', 'A "b', 'public'`)
    expect(settingValue('search_path', '""')).toBe(`''`)
    expect(settingValue('work_mem', '3MB')).toBe(`'3MB'`)
  })
})
