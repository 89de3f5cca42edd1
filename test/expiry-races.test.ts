import { existsSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { sql } from 'drizzle-orm'
import { describe, expect } from 'vitest'
import { connectDatabase, type Database } from '../src/database/connect.ts'
import { recoveryPoints } from '../src/database/tables/recovery-point.ts'
import { backUpNow } from '../src/instance/back-up-now.ts'
import { enqueueExpiry, expiryJob } from '../src/instance/expiry/enqueue-expiry.ts'
import { markExpired } from '../src/instance/expiry/mark-expired.ts'
import { enqueueJob } from '../src/job/enqueue.ts'
import { findRecoveryPoints, lockForReading } from '../src/recovery-point/find.ts'
import { RecoveryPointBeingRemoved } from '../src/recovery-point/recovery-point.ts'
import { verifyRecoveryPoint } from '../src/recovery-point/verify.ts'
import { restoreAsFiles } from '../src/restore/as-files.ts'
import { restoreToServer } from '../src/restore/to-server.ts'
import { programsTalkingTo } from './kit/dump-process.ts'
import { day, type Life, startLife } from './kit/life.ts'
import { findRecoveryPointsOf } from './kit/points.ts'
import { actor, endOf, protect, register, runSql, startService } from './kit/protected-server.ts'
import { startServiceProcess } from './kit/service-process.ts'
import { sourceServer } from './kit/source-server.ts'
import { test } from './kit/test.ts'
import { waitFor } from './kit/wait-for.ts'

/** Keeps everybody from writing down what they do, until it is let go: whoever wants to waits in its transaction. */
async function holdAudit(databaseUrl: string): Promise<{ release: () => Promise<void> }> {
  const connection = connectDatabase(databaseUrl, { maxConnections: 1 })
  const taken = Promise.withResolvers<void>()
  const given = Promise.withResolvers<void>()
  const holding = connection.database.transaction(async (tx) => {
    // As a session that is busy: one that idles in a transaction would be ended.
    await tx.execute(sql`set local idle_in_transaction_session_timeout = 0`)
    await tx.execute(sql`lock table audit_records in share mode`)
    taken.resolve()
    await given.promise
  })
  await taken.promise
  return {
    async release() {
      given.resolve()
      await holding
      await connection[Symbol.asyncDispose]()
    },
  }
}

/** Waits until so many sessions of the database wait for a lock. */
async function waiters(database: Database, count: number): Promise<void> {
  await waitFor(`${count} sessions that wait for a lock`, async () => {
    const rows = await database.execute<{ pid: number }>(
      sql`select pid from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`,
    )
    return rows.length >= count
  })
}

describe('a worker that is killed between removing the bytes and the row', { timeout: 60_000 }, () => {
  test('leaves a row that cannot be restored from, and the next run finishes', async ({
    databaseUrl,
    database,
    folder,
  }) => {
    const { old, instance, vaultPath } = await oneMarkedPoint(databaseUrl, folder)
    const keyFile = join(folder, 'secret.key')
    const audit = await holdAudit(databaseUrl)
    await using doomed = await startServiceProcess({ databaseUrl, folder, keyFile })
    const job = await database.transaction((tx) =>
      enqueueExpiry(tx, { instance, trigger: 'SYSTEM', actor, now: new Date() }),
    )
    await waitFor('the bytes to go', () => !existsSync(join(vaultPath, old.prefix)), { withinMs: 20_000 })
    await waiters(database, 1)
    await doomed.kill()
    await audit.release()
    const [left] = await findRecoveryPoints(database, [old.id])
    expect(left).toMatchObject({ state: 'REMOVING', sweepStartedAt: expect.any(Date) })
    await expect(
      restoreAsFiles(database, {
        recoveryPointId: old.id,
        target: { kind: 'DIRECTORY', path: join(folder, 'restored') },
        databases: null,
        actor,
        now: new Date(),
      }),
    ).rejects.toThrow(RecoveryPointBeingRemoved)
    await using _heir = await startServiceProcess({ databaseUrl, folder, keyFile })
    expect(await endOf(database, job.id)).toMatchObject({ status: 'COMPLETED', attempt: 2 })
    expect(await findRecoveryPoints(database, [old.id])).toEqual([])
  })

  async function oneMarkedPoint(databaseUrl: string, folder: string) {
    await using life = await startLife({ databaseUrl, folder })
    life.clock.now = new Date()
    const old = await life.addPoint(40)
    await life.addPoint(1)
    await markExpired(life.database, { instanceId: life.instance.id, ids: [old.id], now: life.clock.now })
    await life.database
      .update(recoveryPoints)
      .set({ markedAt: new Date(Date.now() - day) })
      .where(sql`marked_at is not null`)
    return { old, instance: life.instance, vaultPath: life.vaultPath }
  }
})

describe('expiry and a restore that is being asked for', () => {
  async function twoPoints(life: Life) {
    const old = await life.addPoint(40)
    await life.addPoint(1)
    return old
  }
  const mark = (life: Life, id: string) =>
    markExpired(life.database, { instanceId: life.instance.id, ids: [id], now: life.clock.now })

  test('the restore first: the point is not marked', async ({ databaseUrl, folder }) => {
    await using life = await startLife({ databaseUrl, folder })
    const old = await twoPoints(life)
    const { promise: asked, resolve: goOn } = Promise.withResolvers<void>()
    const { promise: locked, resolve: isLocked } = Promise.withResolvers<void>()
    const restoring = life.database.transaction(async (tx) => {
      await lockForReading(tx, old.id, 'RESTORE')
      isLocked()
      await asked
      await enqueueJob(tx, {
        operation: 'RESTORE',
        trigger: 'USER',
        input: {},
        subject: { instanceId: life.instance.id, recoveryPointId: old.id },
        runAt: new Date(Date.now() + day),
        actor,
        now: life.clock.now,
      })
    })
    await locked
    const marking = mark(life, old.id)
    await waiters(life.database, 1)
    goOn()
    await restoring
    expect(await marking).toEqual({ count: 0, storedBytes: 0 })
    expect(await life.pointNow(old)).toMatchObject({ state: 'AVAILABLE' })
  })

  test('the mark first: the restore and the verification are refused', async ({ databaseUrl, folder }) => {
    await using life = await startLife({ databaseUrl, folder })
    const old = await twoPoints(life)
    const audit = await holdAudit(databaseUrl)
    const marking = mark(life, old.id)
    await waiters(life.database, 1)
    const input = { recoveryPointId: old.id, actor, now: life.clock.now }
    const readers = Promise.allSettled([
      restoreAsFiles(life.database, {
        ...input,
        target: { kind: 'DIRECTORY', path: join(folder, 'restored') },
        databases: null,
      }),
      verifyRecoveryPoint(life.database, input),
    ])
    await waiters(life.database, 3)
    await audit.release()
    expect(await marking).toMatchObject({ count: 1 })
    for (const reader of await readers) {
      expect(reader).toMatchObject({ status: 'rejected', reason: expect.any(RecoveryPointBeingRemoved) })
    }
  })
})

describe('files of the newest point that vanish while an expiry run chooses', () => {
  test('are missed before the first bytes go', async ({ databaseUrl, folder }) => {
    await using life = await startLife({ databaseUrl, folder })
    const [old, newest] = [await life.addPoint(40), await life.addPoint(1)]
    const audit = await holdAudit(databaseUrl)
    const job = await life.enqueueExpiry()
    await waiters(life.database, 1)
    await rm(join(life.vaultPath, newest.prefix), { recursive: true })
    await audit.release()
    expect(await life.service.ended(job.id)).toMatchObject({ status: 'COMPLETED_WITH_WARNINGS' })
    expect(await life.pointNow(newest)).toMatchObject({ state: 'SUSPECT' })
    expect(await life.pointNow(old)).toMatchObject({ state: 'AVAILABLE', markedAt: null })
    expect(await life.filesOf(old)).toHaveLength(3)
  })
})

describe('two expiry runs at once', () => {
  test('remove each point once, and both end well', async ({ databaseUrl, folder }) => {
    await using life = await startLife({ databaseUrl, folder })
    for (let age = 40; age < 60; age++) await life.addPoint(age)
    const newest = await life.addPoint(1)
    const { exclusiveKey: _, ...job } = expiryJob(
      { instance: life.instance, trigger: 'SYSTEM', actor, now: life.clock.now },
      new Map(),
    )
    const both = await life.database.transaction(async (tx) => [await enqueueJob(tx, job), await enqueueJob(tx, job)])
    for (const { id } of both) {
      expect(await life.service.ended(id)).toMatchObject({ status: 'COMPLETED', attempt: 1, warnings: [] })
    }
    expect(await life.pointIds()).toEqual([newest.id])
    const removed = await life.database.execute<{ count: number }>(
      sql`select count(*)::int as count from audit_records where action = 'recoveryPointRemoved'`,
    )
    expect(removed[0]?.count).toBe(20)
  })
})

describe('a restore that runs', { timeout: 90_000 }, () => {
  test('keeps its point from expiring until it has ended', async ({ databaseUrl, folder }) => {
    await using source = await sourceServer()
    await using target = await sourceServer()
    await runSql(source, 'postgres', 'create database shop')
    // So many rows that its pg_restore is still there when it is looked for.
    await runSql(
      source,
      'shop',
      'create table orders as select i, repeat(md5(i::text), 30) as text from generate_series(1, 120000) i',
    )
    await using service = await startService({ databaseUrl, folder })
    const { database } = service
    const { instance } = await protect(service, source, folder)
    const request = { instanceId: instance.id, retentionTag: null, actor }
    for (let count = 0; count < 2; count++) {
      const backup = await backUpNow(database, { ...request, now: new Date() })
      expect(await service.ended(backup.id)).toMatchObject({ status: 'COMPLETED' })
    }
    const [newest, old] = await findRecoveryPointsOf(database, instance.id)
    await database.update(recoveryPoints).set({ expiresAt: new Date() })
    const server = await register(service, target)
    const restore = await restoreToServer(database, {
      recoveryPointId: old?.id ?? '',
      serverId: server.id,
      databases: [{ name: 'shop', targetName: 'shop_restored' }],
      ownership: { kind: 'KEEP' },
      actor,
      now: new Date(),
    })
    const reader = await waitFor('a running pg_restore', async () => {
      const [program] = await programsTalkingTo(target.port)
      return program && process.kill(program.pid, 'SIGSTOP') ? program : undefined
    })
    const expire = () =>
      database.transaction((tx) => enqueueExpiry(tx, { instance, trigger: 'SYSTEM', actor, now: new Date() }))
    expect(await service.ended((await expire()).id)).toMatchObject({ status: 'COMPLETED' })
    expect(await findRecoveryPointsOf(database, instance.id)).toHaveLength(2)
    process.kill(reader.pid, 'SIGCONT')
    expect(await service.ended(restore.id)).toMatchObject({ status: 'COMPLETED', error: null })
    expect(await service.ended((await expire()).id)).toMatchObject({ status: 'COMPLETED' })
    expect((await findRecoveryPointsOf(database, instance.id)).map(({ id }) => id)).toEqual([newest?.id])
  })
})
