import { eq } from 'drizzle-orm'
import { describe, expect } from 'vitest'
import { jobs } from '../src/database/tables/job.ts'
import { policyVersions } from '../src/database/tables/policy.ts'
import { backUpNow } from '../src/instance/back-up-now.ts'
import { findInstances } from '../src/instance/find.ts'
import { findRecoveryPointsOf } from './kit/points.ts'
import { actor, protect, runSql, startService } from './kit/protected-server.ts'
import { sourceServer } from './kit/source-server.ts'
import { test } from './kit/test.ts'
import { waitFor } from './kit/wait-for.ts'

const day = 86_400_000

describe('a service with its clock', () => {
  test('decodes a point by itself soon after the backup that made it, and reads it again by and by', async ({
    databaseUrl,
    folder,
    source,
  }) => {
    let aheadMs = 0
    const now = () => new Date(Date.now() + aheadMs)
    await using service = await startService({ databaseUrl, folder }, { clock: true, now })
    const { database } = service
    const { instance } = await protect(service, source, folder)
    const verification = { decode: { kind: 'EVERY_POINT' as const }, restoreEvery: null }
    await database.update(policyVersions).set({ verification })
    const job = await backUpNow(database, { instanceId: instance.id, retentionTag: null, actor, now: now() })
    expect((await service.ended(job.id)).status).toBe('COMPLETED')
    // The clock looks at what is due every quarter of a minute, by its own time too.
    aheadMs += 60_000
    const [point] = await waitFor(
      'the point is decoded',
      async () => {
        const points = await findRecoveryPointsOf(database, instance.id)
        return points[0]?.proof === 'DECODED' ? points : undefined
      },
      { withinMs: 60_000 },
    )
    expect(point).toMatchObject({ verificationTriedLevel: 'DECODED', verificationTries: 1 })

    aheadMs += 29 * day
    await waitFor(
      'the point is read again',
      async () => {
        const [read] = await findRecoveryPointsOf(database, instance.id)
        // What somebody had at hand for a moment is looked at again a minute later.
        aheadMs += 1_000
        return (read?.lastReadAt?.getTime() ?? 0) > (point?.lastReadAt?.getTime() ?? 0) + 20 * day
      },
      { withinMs: 60_000 },
    )
    const made = await database.select().from(jobs).where(eq(jobs.operation, 'VERIFY')).orderBy(jobs.createdAt)
    expect(made.map(({ input, status }) => [input, status])).toEqual([
      [{ level: 'DECODED' }, 'COMPLETED'],
      [{ level: 'READ_BACK' }, 'COMPLETED'],
    ])
  }, 180_000)
})

describe('a backup that holds much less than the last one', () => {
  test('warns, names the table, and holds expiry', async ({ databaseUrl, folder }) => {
    await using source = await sourceServer()
    await runSql(source, 'postgres', 'create table orders (id integer)', 'create table "odd ""name" (id integer)')
    await runSql(source, 'postgres', 'insert into orders select generate_series(1, 5000)')
    await runSql(source, 'postgres', 'insert into "odd ""name" select generate_series(1, 2000)')
    await using service = await startService({ databaseUrl, folder })
    const { database } = service
    const { instance } = await protect(service, source, folder)
    const backUp = async () =>
      service.ended(
        (await backUpNow(database, { instanceId: instance.id, retentionTag: null, actor, now: new Date() })).id,
      )
    expect((await backUp()).status).toBe('COMPLETED')
    await runSql(source, 'postgres', 'delete from "odd ""name"')
    expect(await backUp()).toMatchObject({
      status: 'COMPLETED_WITH_WARNINGS',
      warnings: ['Table "public.odd \\"name" of "postgres" is empty, and held 2000 rows before.'],
    })
    const [point] = await findRecoveryPointsOf(database, instance.id)
    expect(point?.anomalies).toEqual([
      {
        kind: 'TABLE_EMPTIED',
        database: 'postgres',
        table: { schema: 'public', name: 'odd "name' },
        before: 2_000,
        after: 0,
      },
    ])
    expect((await findInstances(database, [instance.id]))[0]?.contentAnomalySince).not.toBeNull()
  }, 120_000)
})
