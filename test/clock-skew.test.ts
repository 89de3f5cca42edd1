import { eq } from 'drizzle-orm'
import { describe, expect } from 'vitest'
import { startDatabaseClock } from '../src/database/clock.ts'
import { backupInstances } from '../src/database/tables/backup-instance.ts'
import { jobs } from '../src/database/tables/job.ts'
import { notifications } from '../src/database/tables/notification.ts'
import { databaseTime } from '../src/database/time.ts'
import { backUpNow } from '../src/instance/back-up-now.ts'
import { startDuePurges } from '../src/instance/purge/start-due-purges.ts'
import { findRemovalRest, mendRemovalRest, restRemovals } from '../src/vault/removal-rest.ts'
import { allChores } from '../src/worker/clock/chores.ts'
import { watchForJumps } from '../src/worker/clock/jump-watch.ts'
import { day, type Life, startLife } from './kit/life.ts'
import { findRecoveryPointsOf } from './kit/points.ts'
import { actor, firstFailure, protect, startService } from './kit/protected-server.ts'
import { test } from './kit/test.ts'

const hour = 3_600_000
const before = (at: Date, ms: number) => new Date(at.getTime() - ms)

describe('the time of a process', () => {
  test("is the database's, whatever its own clock says, and stays by the last difference", async ({ database }) => {
    let behindMs = 40 * day
    let isBroken = false
    const machineNow = () => {
      if (isBroken) throw new Error('It cannot be measured.')
      return before(new Date(), behindMs)
    }
    using clock = await startDatabaseClock(database, { machineNow })
    const apart = async () => Math.abs(clock.now().getTime() - (await databaseTime(database)).getTime())
    expect(await apart()).toBeLessThan(1_000)
    behindMs = -3 * hour
    expect(await apart()).toBeGreaterThan(40 * day)
    await clock.measure()
    expect(await apart()).toBeLessThan(1_000)
    isBroken = true
    await expect(clock.measure()).rejects.toThrow('It cannot be measured.')
    isBroken = false
    expect(await apart()).toBeLessThan(1_000)
  })
})

describe('a worker whose clock is 40 days behind', () => {
  test("makes points whose end is counted by the database's clock", async ({ databaseUrl, folder, source }) => {
    await using service = await startService({ databaseUrl, folder })
    const { instance } = await protect(service, source, folder)
    service.context.now = () => before(new Date(), 40 * day)
    const begunAt = await databaseTime(service.database)
    const job = await backUpNow(service.database, {
      instanceId: instance.id,
      retentionTag: null,
      actor,
      now: begunAt,
    })
    expect(await service.ended(job.id)).toMatchObject({ status: 'COMPLETED' })
    const [point] = await findRecoveryPointsOf(service.database, instance.id)
    expect(point?.createdAt.getTime()).toBeGreaterThanOrEqual(begunAt.getTime())
    expect(point?.provenAt.getTime()).toBeGreaterThanOrEqual(begunAt.getTime())
    expect(point?.expiresAt.getTime()).toBeGreaterThan(begunAt.getTime() + 29 * day)
  })
})

describe('while the clocks of the worker and the database disagree', () => {
  const setMachine = (life: Life, aheadMs: number) => {
    life.service.context.machineNow = () => new Date(life.clock.now.getTime() + aheadMs)
  }

  test('an expiry removes nothing, says so, and goes on when they agree', async ({ databaseUrl, folder }) => {
    await using life = await startLife({ databaseUrl, folder })
    const old = await life.addPoint(40)
    const newest = await life.addPoint(1)
    setMachine(life, -6 * 60_000)
    const job = await life.enqueueExpiry()
    const { error } = await firstFailure(life.database, job.id)
    expect(error).toMatchObject({ code: 'CLOCKS_DISAGREE', isUserError: true, isRetryable: true })
    expect(error?.details).toBe(
      "The database's clock shows 2026-03-01T12:00:00.000Z, the worker's 2026-03-01T11:54:00.000Z.",
    )
    expect(await life.pointNow(old)).toMatchObject({ state: 'AVAILABLE' })
    expect(await life.filesOf(old)).toHaveLength(3)
    setMachine(life, 4 * 60_000)
    await life.database
      .update(jobs)
      .set({ runAt: new Date(0) })
      .where(eq(jobs.id, job.id))
    await life.database.execute("select pg_notify('holdfast_job_queue', '')")
    await life.service.ended(job.id)
    expect(await life.pointIds()).toEqual([newest.id])
  })

  test('a purge removes nothing', async ({ databaseUrl, folder }) => {
    await using life = await startLife({ databaseUrl, folder })
    const point = await life.addPoint(1)
    await life.database
      .update(backupInstances)
      .set({ state: 'SOFT_DELETED', deletedAt: life.clock.now, scheduledPurgeAt: life.clock.now })
    setMachine(life, 2 * day)
    await startDuePurges(life.database, { now: life.clock.now, atMost: 10 })
    const [job] = await life.database.select().from(jobs).where(eq(jobs.operation, 'PURGE'))
    const { error } = await firstFailure(life.database, job?.id ?? '')
    expect(error).toMatchObject({ code: 'CLOCKS_DISAGREE' })
    expect(await life.instanceNow()).toMatchObject({ purgeStartedAt: null })
    expect(await life.filesOf(point)).toHaveLength(3)
  })
})

describe('a clock of the database that jumps ahead', () => {
  const start = new Date('2026-03-01T12:00:00Z')

  test('lets nothing be removed for a day of the time for which the machine is up', () => {
    let upMs = 1_000
    const watch = watchForJumps({ upMs: () => upMs })
    const pass = (ms: number, { jumpMs = 0 } = {}) => {
      upMs += ms
      now = new Date(now.getTime() + ms + jumpMs)
      watch.see(now)
    }
    let now = start
    watch.see(now)
    pass(9 * hour)
    pass(1_000, { jumpMs: hour })
    expect([watch.isResting(), watch.untoldJumpMs(), watch.setBacks()]).toEqual([false, undefined, 0])
    pass(1_000, { jumpMs: hour + 1 })
    expect([watch.isResting(), watch.untoldJumpMs(), watch.setBacks()]).toEqual([true, hour + 1, 0])
    watch.told()
    pass(day - 1, { jumpMs: -2 * hour })
    expect([watch.isResting(), watch.untoldJumpMs(), watch.setBacks()]).toEqual([true, undefined, 1])
    pass(1)
    expect(watch.isResting()).toBe(false)
  })

  async function roundsOf(life: Life, { isSetByHand, workers = 1 }: { isSetByHand: boolean; workers?: number }) {
    await life.addPoint(1)
    await life.database.update(backupInstances).set({ expiryDueAt: new Date('2026-03-01T18:00:00Z') })
    const chores = Array.from({ length: workers }, () => allChores({ isSetByHand })).flat()
    for (const now of [start, new Date('2031-03-01T12:00:00Z'), new Date('2031-03-01T12:00:01Z')]) {
      for (const chore of chores) await chore.run(life.service.context, now)
    }
    const ofKind = eq(notifications.kind, 'MAINTENANCE_FAILED')
    return {
      expiries: await life.database.$count(jobs, eq(jobs.operation, 'EXPIRE')),
      told: await life.database.select().from(notifications).where(ofKind),
    }
  }

  test('starts no removal, and is told of once by all workers', async ({ databaseUrl, folder }) => {
    await using life = await startLife({ databaseUrl, folder })
    const { expiries, told } = await roundsOf(life, { isSetByHand: false, workers: 2 })
    expect(expiries).toBe(0)
    expect(told).toMatchObject([
      {
        severity: 'WARNING',
        message:
          'The clock of the database has jumped ahead by 43824 hours, to 2031-03-01T12:00:00.000Z: nothing is removed for a day.',
      },
    ])
  })

  test('lets nothing be removed for a day, by workers that are started later and jobs that were begun before', async ({
    databaseUrl,
    folder,
  }) => {
    await using life = await startLife({ databaseUrl, folder })
    const { service, database, clock } = life
    const old = await life.addPoint(40)
    const newest = await life.addPoint(1)
    const jumped = new Date(start.getTime() + 2 * hour)
    const seen = allChores({ isSetByHand: false })
    for (clock.now of [start, jumped]) for (const chore of seen) await chore.run(service.context, clock.now)
    expect(await life.expire()).toMatchObject({
      status: 'COMPLETED_WITH_WARNINGS',
      warnings: [expect.stringContaining('nothing is removed until 2026-03-02T14:00:00.000Z')],
    })
    expect(await life.pointIds()).toEqual([newest.id, old.id])
    expect(await life.instanceNow()).toMatchObject({ expiryDueAt: new Date('2026-03-02T14:00:00.000Z') })
    const restarted = allChores({ isSetByHand: false })
    await database.update(backupInstances).set({ expiryDueAt: start })
    const before = await database.$count(jobs, eq(jobs.operation, 'EXPIRE'))
    for (const chore of restarted) await chore.run(service.context, jumped)
    expect(await database.$count(jobs, eq(jobs.operation, 'EXPIRE'))).toBe(before)
    clock.now = new Date('2026-03-02T14:00:00.001Z')
    await life.expire()
    expect(await life.pointIds()).toEqual([newest.id])
  })

  test('puts a purge off that was begun', async ({ databaseUrl, folder }) => {
    await using life = await startLife({ databaseUrl, folder })
    const { database, clock, service } = life
    const point = await life.addPoint(1)
    const deleted = { state: 'SOFT_DELETED', deletedAt: clock.now, scheduledPurgeAt: clock.now } as const
    await database.update(backupInstances).set({ ...deleted, purgeStartedAt: clock.now })
    const { endsAt } = await restRemovals(database, {
      kind: 'CLOCK_JUMP',
      forMs: day,
      reason: 'it was asked for',
      now: clock.now,
    })
    await startDuePurges(database, { now: clock.now, atMost: 10 })
    const [job] = await database.select().from(jobs).where(eq(jobs.operation, 'PURGE'))
    await service.ended(job?.id ?? '')
    expect(await life.instanceNow()).toMatchObject({ scheduledPurgeAt: endsAt })
    expect(await life.filesOf(point)).toHaveLength(3)
  })

  test('and is set back leaves a rest that is as long as it was to be', async ({ database }) => {
    const ahead = new Date(start.getTime() + 365 * day)
    await restRemovals(database, { kind: 'CLOCK_JUMP', forMs: day, reason: 'it has jumped', now: ahead })
    await mendRemovalRest(database, start)
    expect(await findRemovalRest(database, start)).toMatchObject({ endsAt: new Date(start.getTime() + day) })
    const later = new Date(start.getTime() + hour)
    await mendRemovalRest(database, later)
    expect(await findRemovalRest(database, new Date(start.getTime() + day))).toBeUndefined()
  })

  test('and is set back leaves a rest of another reason as it was', async ({ database }) => {
    const recovery = { kind: 'RECOVERY', forMs: 7 * day, reason: 'it was recovered' } as const
    await restRemovals(database, { ...recovery, now: start })
    const ahead = new Date(start.getTime() + 31 * day)
    const rest = { kind: 'CLOCK_JUMP', forMs: day, reason: 'it has jumped', now: ahead } as const
    expect(await restRemovals(database, rest)).toMatchObject({ reason: 'it has jumped' })
    expect(await findRemovalRest(database, start)).toMatchObject({ reason: 'it has jumped' })
    const next = new Date(start.getTime() + day)
    await mendRemovalRest(database, next)
    const endsAt = new Date(start.getTime() + 7 * day)
    expect(await findRemovalRest(database, next)).toMatchObject({ endsAt, reason: 'it was recovered' })
    // The one that ends last is answered, whichever is begun last.
    expect(await restRemovals(database, { ...rest, now: next })).toMatchObject({ endsAt, reason: 'it was recovered' })
  })

  test('is taken for the present when it is set by hand', async ({ databaseUrl, folder }) => {
    await using life = await startLife({ databaseUrl, folder })
    expect(await roundsOf(life, { isSetByHand: true })).toEqual({ expiries: 1, told: [] })
  })
})
