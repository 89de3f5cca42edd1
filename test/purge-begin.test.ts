import { eq, isNotNull, sql } from 'drizzle-orm'
import { describe, expect } from 'vitest'
import { backupInstances } from '../src/database/tables/backup-instance.ts'
import { jobs } from '../src/database/tables/job.ts'
import { notifications } from '../src/database/tables/notification.ts'
import { recoveryPoints } from '../src/database/tables/recovery-point.ts'
import { vaults } from '../src/database/tables/vault.ts'
import { deleteBackupInstance } from '../src/instance/delete-backup-instance.ts'
import { beginPurge } from '../src/instance/purge/begin-purge.ts'
import { markPurged } from '../src/instance/purge/mark-purged.ts'
import { startDuePurges } from '../src/instance/purge/start-due-purges.ts'
import { PurgeHasBegun, undeleteBackupInstance } from '../src/instance/undelete-backup-instance.ts'
import { enqueueJob } from '../src/job/enqueue.ts'
import { day, type Life, startLife } from './kit/life.ts'
import { addLife, asked, instanceOf, now, weekly } from './kit/lifecycle.ts'
import { actor, tryAgainNow } from './kit/protected-server.ts'
import { test } from './kit/test.ts'

function deletionOf({ instance, clock }: Life, { dryRun = false } = {}) {
  const why = { reason: null, comment: null }
  return { instanceId: instance.id, confirmName: 'shop', ...why, dryRun, actor, now: clock.now }
}

describe('the purge of an instance with many points', () => {
  test('begins by one small change, and marks the points part by part, also after a crash', async ({ database }) => {
    const { id: instanceId } = await addLife(database, { state: 'SOFT_DELETED', instance: { scheduledPurgeAt: now } })
    const begin = () => beginPurge(database, { instanceId, jobId: crypto.randomUUID(), now })
    const markedCount = () => database.$count(recoveryPoints, isNotNull(recoveryPoints.sweepStartedAt))
    expect(await begin()).toEqual({ kind: 'PURGE' })
    expect(await instanceOf(database, instanceId)).toMatchObject({ purgeStartedAt: now })
    expect(await markedCount()).toBe(0)
    const part = { instanceId, atOnce: 3, now }
    expect(await markPurged(database, part)).toBe(3)
    expect(await markedCount()).toBe(3)
    // As another worker would that goes on with it.
    expect(await begin()).toEqual({ kind: 'PURGE' })
    expect([await markPurged(database, part), await markPurged(database, part)]).toEqual([3, 1])
    expect(await markPurged(database, part)).toBe(0)
    expect(await database.$count(recoveryPoints, sql`state = 'REMOVING' and mark_reason is not null`)).toBe(
      weekly.length,
    )
  })
})

describe('where the vault has no soft delete', () => {
  test('a deletion begins the purge with it, and is not undone', async ({ databaseUrl, folder }) => {
    await using life = await startLife({ databaseUrl, folder })
    const { database, clock, instance } = life
    await database.update(vaults).set({ softDeleteDays: 0 })
    const point = await life.addPoint(1)
    expect((await deleteBackupInstance(database, deletionOf(life, { dryRun: true }))).purge).toBeNull()
    // It keeps the purge from getting at its bytes meanwhile.
    const reader = await database.transaction((tx) =>
      enqueueJob(tx, {
        operation: 'CONFIGURE_PROTECTION',
        trigger: 'USER',
        input: {},
        subject: {},
        runAt: new Date(Date.now() + day),
        actor,
        now: clock.now,
      }),
    )
    await database.update(jobs).set({ instanceId: instance.id, status: 'CANCELLING' }).where(eq(jobs.id, reader.id))
    const { purge } = await deleteBackupInstance(database, deletionOf(life))
    expect(purge).toMatchObject({ operation: 'PURGE', status: 'QUEUED', createdBy: actor })
    expect(await startDuePurges(database, { now: clock.now, atMost: 10 })).toBe(0)
    expect(
      await database.select().from(notifications).where(eq(notifications.kind, 'PROTECTION_DELETED')),
    ).toMatchObject([{ recommendedActions: [] }])
    await expect(
      undeleteBackupInstance(database, { instanceId: instance.id, dryRun: false, actor, now: clock.now }),
    ).rejects.toThrow(PurgeHasBegun)
    expect(await life.filesOf(point)).toHaveLength(3)
    await database.update(jobs).set({ status: 'CANCELLED' }).where(eq(jobs.id, reader.id))
    await tryAgainNow(database, purge?.id ?? '')
    expect(await life.service.ended(purge?.id ?? '')).toMatchObject({ status: 'COMPLETED' })
    expect(await life.instanceNow()).toBeUndefined()
    expect(await life.filesOf(point)).toEqual([])
  })

  test('elsewhere none begins', async ({ database }) => {
    const { id: instanceId, name } = await addLife(database)
    const why = { reason: null, comment: null }
    const deleted = await deleteBackupInstance(database, { instanceId, confirmName: name, ...why, ...asked })
    expect(deleted.purge).toBeNull()
  })
})

test.for(['USER', 'SCHEDULE'] as const)(
  'a backup of a deleted instance is not made, whoever asked for it: %s',
  async (trigger, { databaseUrl, folder }) => {
    await using life = await startLife({ databaseUrl, folder })
    const { database, clock, instance } = life
    await database
      .update(backupInstances)
      .set({ state: 'SOFT_DELETED', deletedAt: clock.now, scheduledPurgeAt: new Date(clock.now.getTime() + day) })
    const backup = await database.transaction((tx) =>
      enqueueJob(tx, {
        operation: 'BACKUP',
        trigger,
        input: {},
        subject: { instanceId: instance.id },
        actor,
        now: clock.now,
      }),
    )
    expect(await life.service.ended(backup.id)).toMatchObject({ status: 'CANCELLED', error: null })
  },
)
