import { readdir } from 'node:fs/promises'
import { describe, expect } from 'vitest'
import { createDatabase, run } from './kit/engine.ts'
import { startService } from './kit/protected-server.ts'
import { test } from './kit/test.ts'
import { assert, backedUp, pointNow, proofsOf, verify } from './kit/verify.ts'

describe('a restore into a scratch server', { timeout: 240_000 }, () => {
  test('proves a point: rows, large objects, indexes and assertions, and leaves nothing behind', async ({
    databaseUrl,
    folder,
    source,
  }) => {
    await using service = await startService({ databaseUrl, folder })
    await createDatabase(source, '', 'sh"op =1')
    const statements = [
      'create role "odd "" owner" createrole',
      'create schema "Ex t"',
      'create extension hstore schema "Ex t"',
      'create extension pg_stat_statements',
      'create extension pageinspect schema "Ex t"',
      'create table orders (id int primary key, note text check (length(note) > 3))',
      'insert into orders select i, md5(i::text) from generate_series(1, 5000) i',
      'create index on orders (lower(note))',
      'alter table orders owner to "odd "" owner"',
      'create materialized view sums as select count(*) from orders',
      "select lo_from_bytea(0, 'large object')",
    ]
    await run(source, 'sh"op =1', statements.join(';'))
    const made = await backedUp(service, source, folder)
    await assert(service, made, 'sh"op =1', {
      'orders are there': 'select count(*) = 5000 from orders',
      'ids are dense': 'select max(id) = count(*) from orders',
    })
    const ended = await verify(service, made.point, 'RESTORED')
    expect(ended.error).toBeNull()
    expect(ended).toMatchObject({ status: 'COMPLETED', error: null, warnings: [] })
    expect(await pointNow(service, made.point)).toMatchObject({
      state: 'AVAILABLE',
      proof: 'RESTORED',
      lastReadAt: expect.any(Date),
      decodedAt: expect.any(Date),
      restoredAt: expect.any(Date),
    })
    const [proof, first] = await proofsOf(service, made.point)
    expect(first).toMatchObject({ level: 'READ_BACK', outcome: 'PROVEN', jobId: made.point.jobId })
    expect(proof).toMatchObject({
      level: 'RESTORED',
      outcome: 'PROVEN',
      jobId: ended.id,
      checked: {
        databases: 2,
        tables: 1,
        rows: 5000,
        largeObjects: 1,
        indexes: 2,
        assertions: [
          { name: 'orders are there', holds: true },
          { name: 'ids are dense', holds: true },
        ],
        findings: [],
      },
    })
    expect(await readdir(service.context.scratchDirectory)).toEqual([])
  })
})
