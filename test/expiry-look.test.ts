import { eq } from 'drizzle-orm'
import { describe, expect } from 'vitest'
import { backupInstances } from '../src/database/tables/backup-instance.ts'
import { jobs } from '../src/database/tables/job.ts'
import { startDueExpiries } from '../src/instance/expiry/start-due-expiries.ts'
import { resumeProtection } from '../src/instance/resume-protection.ts'
import { stopProtection } from '../src/instance/stop-protection.ts'
import { undeleteBackupInstance } from '../src/instance/undelete-backup-instance.ts'
import { day, type Life, startLife } from './kit/life.ts'
import { actor } from './kit/protected-server.ts'
import { test } from './kit/test.ts'

function inDays({ clock }: Life, days: number): Date {
  return new Date(clock.now.getTime() + days * day)
}

function stop(life: Life): Promise<unknown> {
  const why = { reason: null, comment: null, dryRun: false, actor }
  const data = 'RETAIN_FOREVER'
  return stopProtection(life.database, { instanceId: life.instance.id, data, ...why, now: life.clock.now })
}

async function dueAt(life: Life): Promise<Date | null | undefined> {
  return (await life.instanceNow())?.expiryDueAt
}

/** Runs what the clock starts now, to its end; answers whether it started anything. */
async function look({ database, clock, service }: Life): Promise<boolean> {
  if ((await startDueExpiries(database, { now: clock.now, atMost: 10 })) === 0) return false
  for (const { id } of await database.select().from(jobs).where(eq(jobs.operation, 'EXPIRE'))) await service.ended(id)
  return true
}

describe('an instance with points is looked at', () => {
  test('once a week, however far off their ends are', async ({ databaseUrl, folder }) => {
    await using life = await startLife({ databaseUrl, folder })
    await life.addPoint(1, { keptDays: 3_650 })
    await life.addPoint(0, { keptDays: 3_650 })
    await life.expire()
    expect(await dueAt(life)).toEqual(inDays(life, 7))
  })

  test('while its protection is stopped as well, and what was begun is finished', async ({ databaseUrl, folder }) => {
    await using life = await startLife({ databaseUrl, folder })
    const begun = await life.addPoint(60, {
      state: 'REMOVING',
      markedAt: life.clock.now,
      sweepStartedAt: life.clock.now,
    })
    const [old, newest] = [await life.addPoint(50), await life.addPoint(40)]
    await stop(life)
    expect(await look(life)).toBe(true)
    expect(await life.filesOf(begun)).toEqual([])
    expect(await life.pointIds()).toEqual([newest.id, old.id])
    expect(await dueAt(life)).toEqual(inDays(life, 7))
    life.clock.now = inDays(life, 7)
    await life.storage.removeAll(newest.prefix)
    expect(await look(life)).toBe(true)
    expect(await life.pointNow(newest)).toMatchObject({ state: 'SUSPECT' })
    expect(await look(life)).toBe(false)
  })

  test('a week after it was stopped or undeleted, and never without points', async ({ databaseUrl, folder }) => {
    await using life = await startLife({ databaseUrl, folder })
    const { database, instance, clock } = life
    await stop(life)
    expect(await dueAt(life)).toBeNull()
    await life.addPoint(1)
    await resumeProtection(database, { instanceId: instance.id, dryRun: false, actor, now: clock.now })
    expect(await dueAt(life)).toEqual(inDays(life, 7))
    clock.now = inDays(life, 3)
    await stop(life)
    expect(await dueAt(life)).toEqual(inDays(life, 7))
    const deletedAt = clock.now
    clock.now = inDays(life, 1)
    await database
      .update(backupInstances)
      .set({ state: 'SOFT_DELETED', deletedAt, scheduledPurgeAt: inDays(life, 14), expiryDueAt: null })
    await undeleteBackupInstance(database, { instanceId: instance.id, dryRun: false, actor, now: clock.now })
    expect(await dueAt(life)).toEqual(inDays(life, 7))
  })

  test('at once when a clock that was ahead had planned it for another century', async ({ databaseUrl, folder }) => {
    await using life = await startLife({ databaseUrl, folder })
    await life.addPoint(1)
    await life.database.update(backupInstances).set({ expiryDueAt: inDays(life, 40_000) })
    expect(await look(life)).toBe(true)
    expect(await dueAt(life)).toEqual(inDays(life, 7))
  })
})
