import { eq, sql } from 'drizzle-orm'
import { describe, expect } from 'vitest'
import { connectDatabase, type Database } from '../src/database/connect.ts'
import { backupInstances } from '../src/database/tables/backup-instance.ts'
import { jobs } from '../src/database/tables/job.ts'
import { recoveryPoints } from '../src/database/tables/recovery-point.ts'
import { isBeingRead } from '../src/recovery-point/find.ts'
import { startDueVerifications } from '../src/recovery-point/verification/start-due-verifications.ts'
import { verifyRecoveryPoint } from '../src/recovery-point/verify.ts'
import { daysFromNow, instanceOf, now } from './kit/lifecycle.ts'
import { findRecoveryPointsOf } from './kit/points.ts'
import { test } from './kit/test.ts'
import { addWatched, day, endAll, lookAt, makeDue, pointsMade, waiting } from './kit/verification.ts'

const everyPoint = { decode: { kind: 'EVERY_POINT' as const }, restoreEvery: null }
const within = { decode: { kind: 'WITHIN' as const, duration: 'P10D' }, restoreEvery: null }
const weekly = { decode: null, restoreEvery: 'P7D' }

const later = (minutes: number) => new Date(now.getTime() + minutes * 60_000)

async function newestOf(database: Database, instanceId: string) {
  const [newest] = await findRecoveryPointsOf(database, instanceId)
  if (!newest) throw new Error('There is no point.')
  return newest
}

describe('the clock', () => {
  test('has every point decoded once where the policy says so, one after another', async ({ database }) => {
    const { id } = await addWatched(database, everyPoint, { points: pointsMade(3, 2, 1) })
    for (let minute = 0; minute < 3; minute++) {
      expect(await lookAt(database, later(minute))).toBe(1)
      expect(await endAll(database, 'PROVEN', later(minute))).toBe(1)
    }
    await makeDue(database, later(4))
    expect(await lookAt(database, later(4))).toBe(0)
    const points = await findRecoveryPointsOf(database, id)
    expect(points.map(({ proof }) => proof)).toEqual(['DECODED', 'DECODED', 'DECODED'])
    const made = await database.select().from(jobs).where(eq(jobs.operation, 'VERIFY'))
    expect(made.every(({ trigger, createdBy }) => trigger === 'SYSTEM' && createdBy === 'holdfast')).toBe(true)
  })

  test('restores the newest point as often as the policy says', async ({ database }) => {
    const { id } = await addWatched(database, weekly, { points: pointsMade(2, 1) })
    const newest = await newestOf(database, id)
    await lookAt(database, now)
    expect(await waiting(database)).toMatchObject([{ pointId: newest.id, level: 'RESTORED' }])
    await endAll(database, 'PROVEN', now)
    for (const days of [1, 3, 6.9]) {
      await makeDue(database, daysFromNow(days))
      expect(await lookAt(database, daysFromNow(days))).toBe(0)
    }
    // It is looked at then by itself.
    expect(await lookAt(database, daysFromNow(7.3))).toBe(1)
  })

  test('makes up once for what was missed while nobody looked', async ({ database }) => {
    await addWatched(database, weekly, { points: pointsMade(100) })
    await lookAt(database, now)
    await endAll(database, 'PROVEN', now)
    const afterYears = daysFromNow(700)
    expect(await lookAt(database, afterYears)).toBe(1)
    await endAll(database, 'PROVEN', afterYears)
    await makeDue(database, new Date(afterYears.getTime() + 60_000))
    expect(await lookAt(database, new Date(afterYears.getTime() + 60_000))).toBe(0)
  })

  test.for(['PROTECTION_CONFIGURED', 'PROTECTION_STOPPED', 'BACKUP_SCHEDULES_SUSPENDED'] as const)(
    'goes on in state %s',
    async (state, { database }) => {
      await addWatched(database, within, { state, points: pointsMade(20) })
      expect(await lookAt(database, now)).toBe(1)
    },
  )

  test('leaves alone what is deleted, and what is on its way out', async ({ database }) => {
    await addWatched(database, within, { state: 'SOFT_DELETED', points: pointsMade(20) })
    await addWatched(database, within, {
      points: pointsMade(20).map((seed) => ({ ...seed, state: 'REMOVING' as const, markedAt: now })),
    })
    expect(await lookAt(database, now)).toBe(0)
  })

  test('lets no more wait in a vault than a few, and begins the others when those are done', async ({ database }) => {
    const first = await addWatched(database, within, { points: pointsMade(20) })
    for (let other = 0; other < 9; other++) {
      const { id, policyId } = await addWatched(database, within, { points: pointsMade(20 + other) })
      await database.update(backupInstances).set({ vaultId: first.vaultId }).where(eq(backupInstances.id, id))
      await database.update(recoveryPoints).set({ vaultId: first.vaultId }).where(eq(recoveryPoints.instanceId, id))
      expect(policyId).not.toBe(first.policyId)
    }
    const begun: number[] = []
    for (let minute = 0; minute < 4; minute++) {
      begun.push(await lookAt(database, later(minute)))
      expect(await lookAt(database, later(minute))).toBe(0)
      await endAll(database, 'PROVEN', later(minute))
    }
    expect(begun).toEqual([4, 4, 2, 0])
  })

  test('does not have a point verified that somebody has verified already', async ({ database }) => {
    const { id } = await addWatched(database, within, { points: pointsMade(20) })
    const newest = await newestOf(database, id)
    await verifyRecoveryPoint(database, { recoveryPointId: newest.id, actor: 'tester', now })
    expect(await lookAt(database, now)).toBe(0)
    expect(await waiting(database)).toHaveLength(1)
  })

  test('tries a point again that failed, later and later', async ({ database }) => {
    const { id } = await addWatched(database, within, { points: pointsMade(20) })
    const triedAfterHours: number[] = []
    for (let hour = 0; hour <= 24; hour++) {
      const at = later(hour * 60)
      await makeDue(database, at)
      if ((await lookAt(database, at)) > 0) triedAfterHours.push(hour)
      await endAll(database, 'FAILED', at)
    }
    expect(triedAfterHours).toEqual([0, 1, 3, 7, 15])
    expect((await newestOf(database, id)).verificationTries).toBe(5)
    const at = later(60 * 40)
    await makeDue(database, at)
    await lookAt(database, at)
    await endAll(database, 'PROVEN', at)
    // What failed before is forgotten.
    await makeDue(database, daysFromNow(12))
    await lookAt(database, daysFromNow(12))
    expect((await newestOf(database, id)).verificationTries).toBe(1)
  })

  test('does not stop at points that fail: the next ones have their turn', async ({ database }) => {
    await addWatched(database, within, { points: pointsMade(...Array.from({ length: 9 }, (_, index) => 40 - index)) })
    await database
      .update(recoveryPoints)
      .set({ state: 'SUSPECT', damage: ['bad'] })
      .where(sql`created_at < ${daysFromNow(-33.5).toISOString()}::timestamptz`)
    const tried = new Set<string>()
    for (let minute = 0; minute < 60 * 60; minute += 60) {
      await makeDue(database, later(minute))
      await lookAt(database, later(minute))
      for (const { pointId } of await waiting(database)) tried.add(pointId)
      const suspect = await database.select().from(recoveryPoints).where(eq(recoveryPoints.state, 'SUSPECT'))
      const isSuspect = (await waiting(database)).some(({ pointId }) => suspect.some(({ id }) => id === pointId))
      await endAll(database, isSuspect ? 'FAILED' : 'PROVEN', later(minute))
      if (tried.size === 9) return
    }
    expect(tried.size).toBe(9)
  })

  test('spreads the first looks after an upgrade over some hours', async ({ database }) => {
    for (let index = 0; index < 12; index++) {
      await addWatched(database, within, {
        points: pointsMade(20),
        instance: { verificationDueAt: null, jitter: (index + 1) / 13 },
      })
    }
    expect(await lookAt(database, later(-1))).toBe(0)
    const begun: number[] = []
    for (let hours = 0; hours <= 6; hours++) begun.push(await lookAt(database, later(hours * 60)))
    expect(begun.reduce((sum, each) => sum + each, 0)).toBe(12)
    expect(Math.max(...begun)).toBeLessThanOrEqual(3)
  })

  test('pulls in what a clock that was ahead has planned too late', async ({ database }) => {
    const { id } = await addWatched(database, within, {
      points: pointsMade(20),
      instance: { verificationDueAt: daysFromNow(4_000) },
    })
    expect(await lookAt(database, now)).toBe(1)
    const { verificationDueAt } = await instanceOf(database, id)
    expect(verificationDueAt?.getTime()).toBeLessThan(now.getTime() + 2 * day)
  })

  test('keeps a point from expiring while its verification waits', async ({ database }) => {
    await addWatched(database, within, { points: pointsMade(20) })
    await lookAt(database, now)
    expect(await database.select({ isBeingRead }).from(recoveryPoints)).toEqual([{ isBeingRead: true }])
  })
})

describe('any number of schedulers', () => {
  test('begin each verification once', async ({ database, databaseUrl }) => {
    const count = 24
    for (let index = 0; index < count; index++) await addWatched(database, within, { points: pointsMade(20) })
    const connections = Array.from({ length: 4 }, () => connectDatabase(databaseUrl, { maxConnections: 1 }))
    // Small parts, so that the schedulers meet again and again.
    const started = await Promise.all(connections.map((each) => lookAt(each.database, now, 3)))
    await Promise.all(connections.map((each) => each[Symbol.asyncDispose]()))
    expect(started.reduce((sum, each) => sum + each, 0)).toBe(count)
    const made = await waiting(database)
    expect(new Set(made.map(({ pointId }) => pointId)).size).toBe(count)
    expect(made).toHaveLength(count)
  })

  test('do not wait for an instance that an operation has at hand', async ({ database, databaseUrl }) => {
    const busy = await addWatched(database, within, { points: pointsMade(20) })
    await addWatched(database, within, { points: pointsMade(20) })
    await using other = connectDatabase(databaseUrl)
    const looked = await other.database.transaction(async (tx) => {
      await tx.update(backupInstances).set({ stopComment: 'at hand' }).where(eq(backupInstances.id, busy.id))
      return startDueVerifications(database, { now, atMost: 100 })
    })
    expect(looked).toEqual({ looked: 1, started: 1 })
    expect(await startDueVerifications(database, { now, atMost: 100 })).toEqual({ looked: 1, started: 1 })
  })
})
