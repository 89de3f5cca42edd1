import { readdir } from 'node:fs/promises'
import { describe, expect } from 'vitest'
import { createDatabase } from './kit/engine.ts'
import { firstFailure, startService } from './kit/protected-server.ts'
import { sourceServer } from './kit/source-server.ts'
import { test } from './kit/test.ts'
import { assert, backedUp, pointNow, proofsOf, rewriteManifest, startVerification, verify } from './kit/verify.ts'

describe('a restore into a scratch server', { timeout: 240_000 }, () => {
  test('finds what is not as it was, all of it, by name, and the point is suspect', async ({ databaseUrl, folder }) => {
    await using source = await sourceServer()
    await using service = await startService({ databaseUrl, folder })
    await createDatabase(source, 'create table "or ders" as select 1 as id from generate_series(1, 7)', 'shop')
    const lying = `create function lies(i int) returns float8 language sql immutable as 'select random() + i';
      create table measures as select i from generate_series(1, 500) i;
      create index on measures (lies(i))`
    await createDatabase(source, lying, 'metrics')
    const made = await backedUp(service, source, folder)
    await rewriteManifest(service, made, ({ databases }) => {
      const shop = databases.find(({ report }) => report.name === 'shop')
      shop?.tables.push({ schema: 'public', name: 'gone', rows: 3 })
      for (const table of shop?.tables ?? []) table.rows += 1
    })
    await assert(service, made, 'shop', {
      'seven "or ders"': 'select count(*) = 7 from "or ders"',
      'a thousand': 'select count(*) > 1000 from "or ders"',
      unanswered: 'select frm t',
    })
    const ended = await verify(service, made.point, 'RESTORED')
    expect(ended).toMatchObject({ status: 'FAILED', error: { code: 'PROOF_FAILED', isUserError: false } })
    const sentences = [
      '"metrics": Index "public"."measures_lies_idx" of table "public"."measures" does not agree with it',
      '"shop": Table "public"."or ders" has 7 rows instead of 8.',
      '"shop": Table "public"."gone" is missing; it had 4 rows.',
      'Assertion "a thousand" of "shop" does not hold.',
    ]
    for (const sentence of sentences) expect(ended.error?.details).toContain(sentence)
    expect(ended.error?.details).not.toContain('seven')
    const suspect = await pointNow(service, made.point)
    expect(suspect).toMatchObject({ state: 'SUSPECT', proof: 'READ_BACK', damageLevel: 'RESTORED', restoredAt: null })
    expect(suspect.damage).toHaveLength(4)
    const [proof] = await proofsOf(service, made.point)
    // What has no answer takes nothing from what was looked at.
    const looked = { tables: 2, rows: 507, assertions: [{ holds: true }, { holds: false }] }
    expect(proof).toMatchObject({
      level: 'RESTORED',
      outcome: 'FAILED',
      checked: { findings: suspect.damage, ...looked },
    })
    expect(ended.warnings).toEqual([expect.stringContaining('"unanswered" of "shop" has no answer')])
    expect(await readdir(service.context.scratchDirectory)).toEqual([])

    const readBack = await verify(service, made.point, 'READ_BACK')
    expect(readBack).toMatchObject({
      status: 'COMPLETED_WITH_WARNINGS',
      warnings: [expect.stringContaining('RESTORED')],
    })
    expect(await pointNow(service, made.point)).toMatchObject({ state: 'SUSPECT', damage: suspect.damage })
  })

  test('misses a database that is listed and has no archive', async ({ databaseUrl, folder, source }) => {
    await using service = await startService({ databaseUrl, folder })
    const name = await createDatabase(source, 'create table t as select 1 as id')
    const made = await backedUp(service, source, folder)
    await rewriteManifest(service, made, (manifest) => {
      manifest.artifacts = manifest.artifacts.filter(({ database }) => database !== name)
    })
    for (const level of ['DECODED', 'RESTORED'] as const) {
      expect(await verify(service, made.point, level)).toMatchObject({
        status: 'FAILED',
        error: { details: expect.stringContaining(`lists database "${name}" and holds no archive of it`) },
      })
    }
  })

  test('that meets what keeps it from restoring says nothing against the point', async ({
    databaseUrl,
    folder,
    source,
  }) => {
    await using service = await startService({ databaseUrl, folder })
    const name = await createDatabase(source, 'create table t as select 1 as id')
    const made = await backedUp(service, source, folder)
    const untouched = { state: 'AVAILABLE', proof: 'READ_BACK', damage: [], damageLevel: null, restoredAt: null }

    await assert(service, made, name, {
      broken: 'select frm t',
      writing: 'with x as (delete from t returning 1) select true',
    })
    const broken = await verify(service, made.point, 'RESTORED')
    expect(broken.error).toMatchObject({ code: 'ASSERTION_UNUSABLE', isUserError: true, isRetryable: false })
    expect(broken.error?.details).toMatch(/"broken".*\n.*"writing".*(read-only|permission denied)/)
    expect(await pointNow(service, made.point)).toMatchObject(untouched)

    await assert(service, made, 'no such database', { asked: 'select true' })
    expect((await verify(service, made.point, 'RESTORED')).error).toMatchObject({ code: 'ASSERTION_UNUSABLE' })
    await assert(service, made, name, {})

    await rewriteManifest(service, made, ({ databases }) => {
      for (const { report } of databases) report.extensions.push({ name: 'no_such', version: '1', schema: 'public' })
    })
    const lacking = await verify(service, made.point, 'RESTORED')
    expect(lacking.error).toMatchObject({ code: 'EXTENSION_MISSING', details: expect.stringContaining('no_such') })
    expect(await pointNow(service, made.point)).toMatchObject(untouched)

    await rewriteManifest(service, made, ({ databases }) => {
      for (const { report } of databases) Object.assign(report, { extensions: [], sizeBytes: 2 ** 52 })
    })
    const { id } = await startVerification(service, made.point, 'RESTORED')
    const full = await firstFailure(service.database, id)
    expect(full.error).toMatchObject({ code: 'STORAGE_FULL', details: expect.stringContaining('HOLDFAST_SCRATCH_DIR') })
    expect(await pointNow(service, made.point)).toMatchObject(untouched)
    expect((await proofsOf(service, made.point)).map(({ level }) => level)).toEqual(['READ_BACK'])
    expect(await readdir(service.context.scratchDirectory)).toEqual([])
  })

  test('can do no harm to the worker: the code of the source is never run as a superuser', async ({
    databaseUrl,
    folder,
    source,
  }) => {
    await using service = await startService({ databaseUrl, folder })
    await createDatabase(
      source,
      `create function note(i int) returns bool language plpgsql as $$ begin
         if (select rolsuper from pg_roles where rolname = current_user) and current_database() like 'holdfast%' then
           raise exception 'run as a superuser';
         end if;
         return true;
       end $$;
       create table t (i int check (note(i)));
       insert into t select generate_series(1, 10);
       create index on t ((i + 1))`,
    )
    const made = await backedUp(service, source, folder)
    expect(await verify(service, made.point, 'RESTORED')).toMatchObject({ status: 'COMPLETED', error: null })
  })
})

describe('what only a superuser can restore', { timeout: 120_000 }, () => {
  test('is said to be that, and not held against the point', async ({ databaseUrl, folder }) => {
    await using source = await sourceServer()
    await using service = await startService({ databaseUrl, folder })
    await createDatabase(source, "create function plus(int, int) returns int strict language internal as 'int4pl'")
    const made = await backedUp(service, source, folder)
    const ended = await verify(service, made.point, 'RESTORED')
    expect(ended.error).toMatchObject({
      code: 'PROOF_NOT_POSSIBLE',
      details: expect.stringMatching(/permission denied/),
    })
    expect(await pointNow(service, made.point)).toMatchObject({ state: 'AVAILABLE', damage: [], proof: 'READ_BACK' })
    expect(await readdir(service.context.scratchDirectory)).toEqual([])
  })

  test('is left out and named where all rows can be restored without it', async ({ databaseUrl, folder }) => {
    await using source = await sourceServer()
    await using service = await startService({ databaseUrl, folder })
    await createDatabase(source, 'create table t (i int); create publication everything for all tables')
    const made = await backedUp(service, source, folder)
    const ended = await verify(service, made.point, 'RESTORED')
    expect(ended).toMatchObject({ status: 'COMPLETED_WITH_WARNINGS', error: null })
    expect(ended.warnings.join()).toContain('PUBLICATION "everything" was left out: only a superuser can make it.')
    expect(await pointNow(service, made.point)).toMatchObject({ state: 'AVAILABLE', damage: [], proof: 'RESTORED' })
  })

  test('differs from what nobody can restore, which is a finding', async ({ databaseUrl, folder, source }) => {
    await using service = await startService({ databaseUrl, folder })
    // A check that held when the rows were written and does not any more: the rows cannot be loaded again.
    const name = await createDatabase(
      source,
      `create table limits as select 10 as most;
       create function fits(i int) returns bool language plpgsql as $$ begin return i <= (select most from public.limits); end $$;
       create table t (i int check (fits(i)));
       insert into t values (7);
       update limits set most = 5`,
    )
    const made = await backedUp(service, source, folder)
    const ended = await verify(service, made.point, 'RESTORED')
    expect(ended.error).toMatchObject({ code: 'PROOF_FAILED', details: expect.stringContaining('does not restore') })
    expect(ended.error?.details).toContain(name)
    expect(await pointNow(service, made.point)).toMatchObject({ state: 'SUSPECT', damageLevel: 'RESTORED' })
  })
})
