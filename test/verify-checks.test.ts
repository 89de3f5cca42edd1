import { statfs } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect } from 'vitest'
import { askAssertion } from '../src/engine/ask-assertion.ts'
import { checkRelations } from '../src/engine/check-relations.ts'
import type { JobRun } from '../src/job/handler.ts'
import type { WorkerContext } from '../src/worker/context.ts'
import { chooseScratchPrograms } from '../src/worker/verify/scratch-programs.ts'
import { promiseSpace } from '../src/worker/verify/scratch-server.ts'
import { boundedFindings } from '../src/worker/verify/verdict.ts'
import { addressOf, createDatabase, installedTools, never, run } from './kit/engine.ts'
import { rememberingLog } from './kit/runner.ts'
import { test } from './kit/test.ts'

describe('an assertion', () => {
  test.for([
    ['select count(*) = 3 from numbers', { holds: true }],
    ['select count(*) > 3 from numbers;', { holds: false }],
    ['select null::boolean', { unusable: 'it answered null' }],
    ['select 1', { unusable: 'it answered no boolean' }],
    ["select 'true'", { unusable: 'it answered no boolean' }],
    ['select true, true', { unusable: 'it answered 2 columns instead of one' }],
    ['select true from numbers', { unusable: 'it answered 3 rows instead of one' }],
    ['select true where false', { unusable: 'it answered 0 rows instead of one' }],
    ['selec true', { unusable: expect.stringContaining('syntax error') }],
    ['select true from no_such_table', { unusable: expect.stringContaining('does not exist') }],
    ['select 1 / 0 = 1', { unusable: expect.stringContaining('division by zero') }],
    ['select pg_sleep(60) is null', { unusable: expect.stringContaining('statement timeout') }],
    ['select true; commit; drop table numbers', { unusable: expect.stringContaining('multiple commands') }],
    ['commit', { unusable: expect.stringContaining('0 rows') }],
    [
      "select set_config('transaction_read_only', 'off', true) = ''",
      { unusable: expect.stringContaining('read-write') },
    ],
    [
      'with gone as (delete from numbers returning 1) select true from gone',
      { unusable: expect.stringContaining('read-only') },
    ],
    ["copy numbers to program 'true'", { unusable: expect.stringMatching(/COPY|rows/i) }],
  ] as const)('%s is answered, or has none for a reason', async ([query, expected], { source }) => {
    const name = await createDatabase(source, 'create table numbers as select generate_series(1, 3)')
    const reader = `reader_${crypto.randomUUID().slice(0, 8)}`
    await run(source, name, `create role ${reader} login password 'reader'; grant pg_read_all_data to ${reader}`)
    const address = addressOf(source, { username: reader, password: 'reader' })
    const answer = await askAssertion(address, name, { query, timeoutMs: 500, signal: never })
    expect(answer).toEqual(expected)
    expect(await run(source, name, 'select count(*)::int as count from numbers')).toEqual([{ count: 3 }])
  })
})

describe('checking relations', () => {
  test('finds an index that lacks rows of its table, by name, and passes those that do not', async ({ source }) => {
    const name = await createDatabase(
      source,
      `create extension amcheck;
       create table plain (id int primary key);
       insert into plain select generate_series(1, 1000);
       create schema "Sp ace";
       create table factor as select 1 as by;
       create function scaled(i int) returns int language sql immutable as 'select i * by from public.factor';
       create table "Sp ace"."ta""ble" as select generate_series(1, 100) as i;
       create index "in dex" on "Sp ace"."ta""ble" (scaled(i));
       update factor set by = 2`,
    )
    const facts = await checkRelations(addressOf(source), name, { schema: 'public', signal: never })
    expect(facts).toMatchObject({ indexes: 2, unchecked: [] })
    expect(facts.findings).toEqual([
      expect.stringMatching(/^Index "Sp ace"."in dex" of table "Sp ace"."ta""ble" does not agree with it: .*lacks/),
    ])
  })

  test('tells an index that cannot be checked from one that is wrong', async ({ source }) => {
    const name = await createDatabase(
      source,
      `create extension amcheck;
       create table switch as select false as is_on;
       create function fails(i int) returns int language plpgsql immutable as $$
         begin if (select is_on from public.switch) then raise exception 'no answer'; end if; return i; end $$;
       create table t as select generate_series(1, 10) as i;
       create index on t (fails(i));
       update switch set is_on = true`,
    )
    const facts = await checkRelations(addressOf(source), name, { schema: 'public', signal: never })
    expect(facts).toEqual({ indexes: 0, findings: [], unchecked: [expect.stringContaining('no answer')] })
  })
})

test('findings are kept to a hundred of each kind, with how many more there were', () => {
  const sentences = (what: string, count: number) => Array.from({ length: count }, (_, at) => `${what} ${at}`)
  const findings = { damage: sentences('file', 3), differences: sentences('table', 50_000), unanswered: [] }
  const { damage, differences } = boundedFindings(findings)
  expect(differences).toEqual([...sentences('table', 100), '… and 49900 more findings like these.'])
  expect(damage).toEqual([...findings.damage, ...differences])
})

describe('room for scratch servers', () => {
  const contextIn = (folder: string, parts: Partial<WorkerContext> = {}) =>
    // Nothing else of it is asked for.
    ({ scratchDirectory: join(folder, 'scratch'), log: rememberingLog(), ...parts }) as WorkerContext
  const runOf = () => ({ job: { id: crypto.randomUUID(), attempt: 1 } }) as JobRun
  const freeOf = async (folder: string) => {
    const { bavail, bsize } = await statfs(folder)
    return bavail * bsize
  }

  test('is promised once: not to two of them at the same time', async ({ folder }) => {
    const context = contextIn(folder)
    const sourceBytes = (0.6 * (await freeOf(folder))) / 1.5
    {
      using _first = await promiseSpace(context, runOf(), sourceBytes)
      await expect(promiseSpace(context, runOf(), sourceBytes)).rejects.toMatchObject({
        code: 'STORAGE_FULL',
        details: expect.stringContaining('for those that run already'),
      })
    }
    using _second = await promiseSpace(context, runOf(), sourceBytes)
  })

  test('leaves some to the metadata database beside it', async ({ folder }) => {
    const allButABit = ((await freeOf(folder)) - 1.5 * 1024 ** 3) / 1.5
    using _alone = await promiseSpace(contextIn(folder), runOf(), allButABit)
    _alone[Symbol.dispose]()
    const beside = promiseSpace(contextIn(folder, { embeddedDirectory: folder }), runOf(), allButABit)
    await expect(beside).rejects.toMatchObject({ details: expect.stringContaining('metadata database') })
  })
})

describe('the scratch server', () => {
  test("is of the source's version where that is installed, else of the next newer one, else there is none", async () => {
    const tools = await installedTools()
    const installed = await chooseScratchPrograms([tools], tools.major)
    expect(installed).toMatchObject({ major: tools.major, binDir: tools.directory })
    expect(await chooseScratchPrograms([tools], 10)).toEqual(installed)
    expect(await chooseScratchPrograms([], tools.major)).toMatchObject({ major: 18 })
    await expect(chooseScratchPrograms([tools], 99)).rejects.toMatchObject({
      code: 'SCRATCH_SERVER_MISSING',
      details: expect.stringContaining('PostgreSQL 99'),
    })
  })
})
