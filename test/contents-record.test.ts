import { eq } from 'drizzle-orm'
import { describe, expect } from 'vitest'
import type { Database } from '../src/database/connect.ts'
import { recoveryPoints } from '../src/database/tables/recovery-point.ts'
import {
  recoveryPointContents,
  recoveryPointSchemas,
  recoveryPointTables,
} from '../src/database/tables/recovery-point-contents.ts'
import { arrange } from '../src/recovery-point/contents/arrange.ts'
import type { PointFacts } from '../src/recovery-point/contents/contents.ts'
import { findContents } from '../src/recovery-point/contents/find.ts'
import { adoptContents, discardContents, recordContents, stageContents } from '../src/recovery-point/contents/record.ts'
import { listedDatabase, manyTables, plainRole } from './kit/contents.ts'
import { addLife } from './kit/lifecycle.ts'
import { findRecoveryPointsOf } from './kit/points.ts'
import { enqueue } from './kit/runner.ts'
import { test } from './kit/test.ts'

const now = new Date('2026-03-01T12:00:00.000Z')

function facts(count: number): PointFacts {
  return { databases: [listedDatabase('shop', manyTables(count))], roles: [plainRole] }
}

async function pointIn(database: Database): Promise<{ id: string; jobId: string }> {
  const instance = await addLife(database)
  const [point] = await findRecoveryPointsOf(database, instance.id)
  if (!point) throw new Error('The instance has no point.')
  return { id: point.id, jobId: point.jobId ?? '' }
}

const counts = async (database: Database) => ({
  contents: await database.$count(recoveryPointContents),
  schemas: await database.$count(recoveryPointSchemas),
  tables: await database.$count(recoveryPointTables),
})

describe('writing down what a point holds', () => {
  test('takes any number of tables, and removing the point removes all of it', async ({ database }) => {
    const { id, jobId } = await pointIn(database)
    await recordContents(database, { recoveryPointId: id, facts: facts(12_345), jobId, now })
    expect(await counts(database)).toEqual({ contents: 1, schemas: 1_235, tables: 12_345 })
    const contents = (await findContents(database, [id])).get(id)
    expect(contents?.databases).toMatchObject([{ name: 'shop', schemaCount: 1_235, tableCount: 12_345 }])
    await database.delete(recoveryPoints).where(eq(recoveryPoints.id, id))
    expect(await counts(database)).toEqual({ contents: 0, schemas: 0, tables: 0 })
  })

  test('happens once: what is known stays, and two at the same moment come to one', async ({ database }) => {
    const { id, jobId } = await pointIn(database)
    const record = (count: number) => recordContents(database, { recoveryPointId: id, facts: facts(count), jobId, now })
    await Promise.all([record(30), record(30), record(30)])
    await record(50)
    expect(await counts(database)).toEqual({ contents: 1, schemas: 3, tables: 30 })
  })

  test('leaves nothing for a point that is not there', async ({ database }) => {
    await recordContents(database, {
      recoveryPointId: crypto.randomUUID(),
      facts: facts(3),
      jobId: crypto.randomUUID(),
      now,
    })
    expect(await counts(database)).toEqual({ contents: 0, schemas: 0, tables: 0 })
  })

  test('works inside a transaction, and is taken back with it', async ({ database }) => {
    const { id: recoveryPointId, jobId } = await pointIn(database)
    const record = (tx: Database) => recordContents(tx, { recoveryPointId, facts: facts(3), jobId, now })
    await expect(
      database.transaction(async (tx) => {
        await record(tx)
        throw new Error('something else went wrong')
      }),
    ).rejects.toThrow('something else')
    expect(await counts(database)).toMatchObject({ contents: 0 })
    await database.transaction(record)
    expect(await counts(database)).toMatchObject({ contents: 1, tables: 3 })
  })
})

describe('what is staged', () => {
  test('is seen by nobody before it is adopted', async ({ database }) => {
    const { id, jobId } = await pointIn(database)
    const contentsId = await stageContents(database, { facts: facts(3), jobId, now })
    expect(await findContents(database, [id])).toEqual(new Map())
    await database.transaction((tx) => adoptContents(tx, { contentsId, recoveryPointId: id }))
    expect((await findContents(database, [id])).get(id)?.databases).toHaveLength(1)
    await discardContents(database, contentsId)
    expect(await counts(database)).toMatchObject({ contents: 1 })
  })

  test('goes when its job is over, and not while it is pending', async ({ database }) => {
    const pending = await enqueue(database)
    const kept = await stageContents(database, { facts: facts(3), jobId: pending.id, now })
    await stageContents(database, { facts: facts(3), jobId: crypto.randomUUID(), now })
    await stageContents(database, { facts: facts(3), jobId: pending.id, now })
    const left = await database.select().from(recoveryPointContents)
    expect(left.map(({ jobId }) => jobId)).toEqual([pending.id, pending.id])
    expect(left.map(({ id }) => id)).toContain(kept)
  })
})

describe('arranging what a database holds', () => {
  test('a manifest of version 0.2 tells tables and rows alone', () => {
    const { schemas, tables } = arrange(
      listedDatabase('old', [
        { schema: 'public', name: 'b', rows: 2 },
        { schema: 'app', name: 'a', rows: 1 },
      ]),
    )
    expect(schemas).toEqual([
      {
        position: 0,
        name: 'app',
        ownerName: null,
        firstTable: 0,
        listedTableCount: 1,
        tableCount: 1,
        rowCount: 1,
        sizeBytes: null,
      },
      {
        position: 1,
        name: 'public',
        ownerName: null,
        firstTable: 1,
        listedTableCount: 1,
        tableCount: 1,
        rowCount: 2,
        sizeBytes: null,
      },
    ])
    expect(tables.map(({ schema, name, kind, sizeBytes }) => [schema, name, kind, sizeBytes])).toEqual([
      ['app', 'a', 'TABLE', null],
      ['public', 'b', 'TABLE', null],
    ])
  })

  test('the largest come first by size, and those of unknown size last', () => {
    const { tables } = arrange(
      listedDatabase('sizes', [
        { schema: 's', name: 'none', rows: 0, bytes: 0 },
        { schema: 's', name: 'unknown', rows: 0 },
        { schema: 's', name: 'large', rows: 0, bytes: 9 },
      ]),
    )
    const bySize = tables.toSorted((left, right) => left.sizePosition - right.sizePosition)
    expect(bySize.map(({ name }) => name)).toEqual(['large', 'none', 'unknown'])
  })
})
