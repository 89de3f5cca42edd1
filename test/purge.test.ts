import { mkdir, readdir, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { desc, eq } from 'drizzle-orm'
import { describe, expect } from 'vitest'
import { pageAuditRecords } from '../src/audit/find.ts'
import { backupInstances } from '../src/database/tables/backup-instance.ts'
import { jobs } from '../src/database/tables/job.ts'
import { notifications } from '../src/database/tables/notification.ts'
import { recoveryPoints } from '../src/database/tables/recovery-point.ts'
import { vaults } from '../src/database/tables/vault.ts'
import { deleteBackupInstance } from '../src/instance/delete-backup-instance.ts'
import { startDuePurges, tellOfNearPurges } from '../src/instance/purge/start-due-purges.ts'
import { PurgeHasBegun, undeleteBackupInstance } from '../src/instance/undelete-backup-instance.ts'
import { requestCancel } from '../src/job/cancel.ts'
import { enqueueJob } from '../src/job/enqueue.ts'
import type { JobRow } from '../src/job/states.ts'
import { instancePrefix } from '../src/storage/point-folders.ts'
import { day, type Life, startLife } from './kit/life.ts'
import { actor, firstFailure, tryAgainNow } from './kit/protected-server.ts'
import { test } from './kit/test.ts'

const atMost = 10

async function deleted(life: Life): Promise<void> {
  await deleteBackupInstance(life.database, {
    instanceId: life.instance.id,
    confirmName: 'shop',
    reason: 'DECOMMISSIONED',
    comment: null,
    dryRun: false,
    actor,
    now: life.clock.now,
  })
}

function undelete(life: Life) {
  return undeleteBackupInstance(life.database, {
    instanceId: life.instance.id,
    dryRun: false,
    actor,
    now: life.clock.now,
  })
}

function later(life: Life, days: number): void {
  life.clock.now = new Date(life.clock.now.getTime() + days * day)
}

/** The purge that the clock starts now. */
async function startPurge({ database, clock }: Life): Promise<JobRow> {
  expect(await startDuePurges(database, { now: clock.now, atMost })).toBe(1)
  const [job] = await database.select().from(jobs).where(eq(jobs.operation, 'PURGE')).orderBy(desc(jobs.createdAt))
  if (!job) throw new Error('No purge was started.')
  return job
}

async function told({ database }: Life, kind: (typeof notifications.$inferSelect)['kind']) {
  return database.select().from(notifications).where(eq(notifications.kind, kind))
}

describe('the purge of a deleted instance', () => {
  test('takes bytes and rows at its time, and leaves its jobs, its audit log and other instances', async ({
    databaseUrl,
    folder,
  }) => {
    await using life = await startLife({ databaseUrl, folder })
    const { database } = life
    const old = await life.addPoint(40)
    await life.addPoint(1)
    const stray = join(life.vaultPath, instancePrefix(life.instance.id), 'stray')
    await mkdir(stray)
    await writeFile(join(stray, 'file'), 'of nobody')
    await deleted(life)
    later(life, 13)
    expect(await startDuePurges(database, { now: life.clock.now, atMost })).toBe(0)
    later(life, 1)
    const purge = await startPurge(life)
    expect(await startDuePurges(database, { now: life.clock.now, atMost })).toBe(0)
    expect(await life.service.ended(purge.id)).toMatchObject({ status: 'COMPLETED', error: null })
    expect(await life.instanceNow()).toBeUndefined()
    expect(await database.select().from(recoveryPoints)).toEqual([])
    expect(await readdir(join(life.vaultPath, 'points'))).toEqual([])
    expect(await readdir(life.vaultPath)).toContain('holdfast-vault.json')
    expect(
      await database
        .select()
        .from(jobs)
        .where(eq(jobs.id, old.jobId ?? '')),
    ).toHaveLength(1)
    const { rows } = await pageAuditRecords(database, { page: { first: 100 } })
    expect(rows.find(({ action }) => action === 'instancePurged')).toMatchObject({
      subjectId: life.instance.id,
      subjectName: 'shop',
      detail: { recoveryPoints: 2, storedBytes: 40, job: purge.id },
    })
    expect(await told(life, 'INSTANCE_PURGED')).toMatchObject([{ instanceId: life.instance.id, subjectName: 'shop' }])
  })

  test('forgets many points part by part, and tells of all of them', async ({ databaseUrl, folder }) => {
    await using life = await startLife({ databaseUrl, folder })
    const { database } = life
    for (let age = 1; age <= 45; age++) await life.addPoint(age)
    await database.execute(`
      create function is_part() returns trigger language plpgsql as $$ begin
        if (select count(*) from gone) > 20 then raise exception 'too many at once'; end if;
        return null;
      end $$;
      create trigger is_part after delete on recovery_points referencing old table as gone
        for each statement execute function is_part()`)
    await deleted(life)
    later(life, 14)
    const purge = await startPurge(life)
    expect(await life.service.ended(purge.id)).toMatchObject({ status: 'COMPLETED', error: null })
    expect(await database.$count(recoveryPoints)).toBe(0)
    expect((await told(life, 'INSTANCE_PURGED'))[0]?.message).toContain('45 recovery points, 900 bytes')
  })

  test('is told two days before, once', async ({ databaseUrl, folder }) => {
    await using life = await startLife({ databaseUrl, folder })
    await life.addPoint(1)
    await deleted(life)
    const tell = () => tellOfNearPurges(life.database, { now: life.clock.now, atMost })
    later(life, 11)
    expect(await tell()).toBe(0)
    later(life, 1)
    expect([await tell(), await tell()]).toEqual([1, 0])
    const [notice] = await told(life, 'PURGE_NEAR')
    expect(notice?.message).toContain('2026-03-15T12:00:00.000Z')
  })

  test('waits for a job that still reads, and can be prevented until it has begun', async ({ databaseUrl, folder }) => {
    await using life = await startLife({ databaseUrl, folder })
    const { database } = life
    const point = await life.addPoint(1)
    const reader = await database.transaction((tx) =>
      enqueueJob(tx, {
        operation: 'RESTORE',
        trigger: 'USER',
        input: {},
        subject: { instanceId: life.instance.id, recoveryPointId: point.id },
        runAt: new Date(Date.now() + day),
        actor,
        now: life.clock.now,
      }),
    )
    await database
      .update(backupInstances)
      .set({ state: 'SOFT_DELETED', deletedAt: life.clock.now, scheduledPurgeAt: life.clock.now })
    const purge = await startPurge(life)
    expect((await firstFailure(database, purge.id)).error).toMatchObject({ code: 'INSTANCE_BUSY', isRetryable: true })
    expect(await life.filesOf(point)).toHaveLength(3)
    expect((await life.instanceNow())?.purgeStartedAt).toBeNull()
    await requestCancel(database, { jobId: reader.id, actor, now: life.clock.now })
    await rename(life.vaultPath, `${life.vaultPath}-away`)
    await tryAgainNow(database, purge.id)
    await expect
      .poll(async () => (await database.select().from(jobs).where(eq(jobs.id, purge.id)))[0]?.error?.code, {
        timeout: 10_000,
      })
      .toBe('STORAGE_UNREACHABLE')
    expect((await life.instanceNow())?.purgeStartedAt).toBeNull()
    await database.update(backupInstances).set({ purgeStartedAt: life.clock.now })
    await expect(undelete(life)).rejects.toThrow(PurgeHasBegun)
    await rename(`${life.vaultPath}-away`, life.vaultPath)
    await tryAgainNow(database, purge.id)
    expect(await life.service.ended(purge.id)).toMatchObject({ status: 'COMPLETED' })
    expect(await life.instanceNow()).toBeUndefined()
  })

  test('does nothing when the instance was undeleted meanwhile', async ({ databaseUrl, folder }) => {
    await using life = await startLife({ databaseUrl, folder })
    const point = await life.addPoint(1)
    await deleted(life)
    later(life, 14)
    await undelete(life)
    // As if it had been enqueued just before.
    const purge = await life.database.transaction((tx) =>
      enqueueJob(tx, {
        operation: 'PURGE',
        trigger: 'SYSTEM',
        input: {},
        subject: { instanceId: life.instance.id },
        actor,
        now: life.clock.now,
      }),
    )
    expect(await life.service.ended(purge.id)).toMatchObject({ status: 'COMPLETED' })
    expect(await life.instanceNow()).toMatchObject({ state: 'PROTECTION_STOPPED', purgeStartedAt: null })
    expect(await life.filesOf(point)).toHaveLength(3)
  })

  test.for(['immutable vault', 'hold'])(
    'is put off where something forbids it: %s',
    async (what, { databaseUrl, folder }) => {
      await using life = await startLife({ databaseUrl, folder })
      const point = await life.addPoint(1)
      await deleted(life)
      if (what === 'hold') await life.database.update(recoveryPoints).set({ heldAt: life.clock.now })
      else await life.database.update(vaults).set({ immutability: 'UNLOCKED' })
      later(life, 14)
      const job = await life.service.ended((await startPurge(life)).id)
      expect(job).toMatchObject({ status: 'COMPLETED_WITH_WARNINGS' })
      const until = new Date(life.clock.now.getTime() + day)
      expect(await life.instanceNow()).toMatchObject({ scheduledPurgeAt: until, purgeStartedAt: null })
      expect(await life.filesOf(point)).toHaveLength(3)
      expect(await told(life, 'PURGE_NEAR')).toMatchObject([
        { message: expect.stringContaining(`is put off to ${until.toISOString()}: `), jobId: job.id },
      ])
      const { rows } = await pageAuditRecords(life.database, { page: { first: 100 } })
      expect(rows.find(({ action }) => action === 'purgePutOff')).toMatchObject({
        reason: expect.stringContaining(what === 'hold' ? '1 of its recovery points are on hold' : 'is immutable'),
        before: { scheduledPurgeAt: '2026-03-15T12:00:00.000Z' },
        after: { scheduledPurgeAt: until.toISOString() },
      })
      life.clock.now = until
      await life.service.ended((await startPurge(life)).id)
      expect(await tellOfNearPurges(life.database, { now: life.clock.now, atMost })).toBe(1)
      later(life, 1)
      expect(await tellOfNearPurges(life.database, { now: life.clock.now, atMost })).toBe(0)
      expect(await told(life, 'PURGE_NEAR')).toHaveLength(2)
      await life.database.update(recoveryPoints).set({ heldAt: null })
      await life.database.update(vaults).set({ immutability: 'DISABLED' })
      await startDuePurges(life.database, { now: life.clock.now, atMost })
      await expect.poll(() => life.instanceNow(), { timeout: 10_000 }).toBeUndefined()
    },
  )
})
