import { mkdir, readdir, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { eq } from 'drizzle-orm'
import { describe, expect } from 'vitest'
import { pageAuditRecords } from '../src/audit/find.ts'
import { backupInstances } from '../src/database/tables/backup-instance.ts'
import { jobs } from '../src/database/tables/job.ts'
import { notifications } from '../src/database/tables/notification.ts'
import { vaultOrphans } from '../src/database/tables/vault.ts'
import { stopProtection } from '../src/instance/stop-protection.ts'
import { requestCancel } from '../src/job/cancel.ts'
import { enqueueJob } from '../src/job/enqueue.ts'
import { recordDamage } from '../src/recovery-point/record-damage.ts'
import { recordProof } from '../src/recovery-point/record-proof.ts'
import { pointPrefix } from '../src/storage/vault-layout.ts'
import { day, type Life, startLife } from './kit/life.ts'
import { actor, firstFailure } from './kit/protected-server.ts'
import { test } from './kit/test.ts'

async function told({ database }: Life, kind: (typeof notifications.$inferSelect)['kind']) {
  return database.select().from(notifications).where(eq(notifications.kind, kind))
}

async function audited({ database }: Life, action: string) {
  const { rows } = await pageAuditRecords(database, { page: { first: 100 } })
  return rows.filter((row) => row.action === action)
}

describe('an expiry run', () => {
  test('removes the bytes and the row of what is past its end, and says so', async ({ databaseUrl, folder }) => {
    await using life = await startLife({ databaseUrl, folder })
    const old = await life.addPoint(40)
    const kept = await life.addPoint(10)
    const job = await life.expire()
    expect(job).toMatchObject({ status: 'COMPLETED', error: null, warnings: [] })
    expect(await life.pointIds()).toEqual([kept.id])
    expect(await life.filesOf(old)).toEqual([])
    expect(await life.filesOf(kept)).toHaveLength(3)
    const [record] = await audited(life, 'recoveryPointRemoved')
    expect(record).toMatchObject({
      actor: 'holdfast',
      subjectId: old.id,
      reason: 'It was kept until 2026-02-19T12:00:00Z.',
      detail: { storedBytes: 20, folder: old.prefix, job: job.id, tag: 'DEFAULT', proof: 'READ_BACK' },
    })
    const [notice] = await told(life, 'RECOVERY_POINTS_REMOVED')
    expect(notice).toMatchObject({ severity: 'INFO', jobId: job.id })
    expect(notice?.message).toBe('1 expired recovery point of "shop" was removed: 20 bytes.')
    expect((await life.instanceNow())?.expiryDueAt).toEqual(new Date(life.clock.now.getTime() + 7 * day))
  })

  test('keeps the last good point for ever, and the best proven one beside a newer one', async ({
    databaseUrl,
    folder,
  }) => {
    await using life = await startLife({ databaseUrl, folder })
    await life.addPoint(90)
    const proven = await life.addPoint(80, { proof: 'RESTORED' })
    await life.addPoint(70, { state: 'SUSPECT', damage: ['0001.dump.age is damaged.'] })
    const newest = await life.addPoint(60)
    life.clock.now = new Date(life.clock.now.getTime() + 20 * 365 * day)
    await life.expire()
    expect(await life.pointIds()).toEqual([newest.id, proven.id])
    await life.expire()
    expect(await life.pointIds()).toEqual([newest.id, proven.id])
    await life.database.transaction((tx) =>
      recordProof(tx, { recoveryPointId: newest.id, proof: 'RESTORED', now: life.clock.now }),
    )
    expect((await life.instanceNow())?.expiryDueAt).toEqual(proven.expiresAt)
    await life.expire()
    expect(await life.pointIds()).toEqual([newest.id])
  })

  test('waits for the end of the grace, and takes a mark back when the points that stay turn out damaged', async ({
    databaseUrl,
    folder,
  }) => {
    await using life = await startLife({ databaseUrl, folder })
    life.service.context.removalGraceMs = day
    const old = await life.addPoint(50)
    const newest = await life.addPoint(10)
    await life.expire()
    const marked = await life.pointNow(old)
    expect(marked).toMatchObject({ state: 'REMOVING', markReason: 'It was kept until 2026-02-09T12:00:00Z.' })
    expect(await life.filesOf(old)).toHaveLength(3)
    expect((await life.instanceNow())?.expiryDueAt).toEqual(new Date(life.clock.now.getTime() + day))
    await life.database.transaction((tx) =>
      recordDamage(tx, {
        recoveryPointId: newest.id,
        damage: ['0001.dump.age is damaged.'],
        level: 'READ_BACK',
        now: life.clock.now,
      }),
    )
    life.clock.now = new Date(life.clock.now.getTime() + day)
    await life.expire()
    expect(await life.pointNow(old)).toMatchObject({ state: 'AVAILABLE', markedAt: null, markReason: null })
    expect((await audited(life, 'recoveryPointKept'))[0]?.detail).toMatchObject({
      because: 'NEWEST_RESTORABLE, BEST_PROVEN',
    })
  })

  test('removes nothing while protection is stopped, but finishes what it had begun to remove', async ({
    databaseUrl,
    folder,
  }) => {
    await using life = await startLife({ databaseUrl, folder })
    const begun = await life.addPoint(60, {
      state: 'REMOVING',
      markedAt: life.clock.now,
      sweepStartedAt: life.clock.now,
    })
    const old = await life.addPoint(50)
    const newest = await life.addPoint(40)
    await stopProtection(life.database, {
      instanceId: life.instance.id,
      data: 'RETAIN_FOREVER',
      reason: null,
      comment: null,
      dryRun: false,
      actor,
      now: life.clock.now,
    })
    expect(await life.expire()).toMatchObject({ status: 'COMPLETED' })
    expect(await life.pointIds()).toEqual([newest.id, old.id])
    expect(await life.filesOf(begun)).toEqual([])
    expect((await life.instanceNow())?.expiryDueAt).toEqual(new Date(life.clock.now.getTime() + 7 * day))
  })

  test('leaves a point alone that a verification is going to read, and comes back for it', async ({
    databaseUrl,
    folder,
  }) => {
    await using life = await startLife({ databaseUrl, folder })
    const read = await life.addPoint(50)
    await life.addPoint(10)
    const reader = await life.database.transaction((tx) =>
      enqueueJob(tx, {
        operation: 'VERIFY',
        trigger: 'USER',
        input: {},
        subject: { instanceId: life.instance.id, recoveryPointId: read.id },
        runAt: new Date(Date.now() + day),
        actor,
        now: life.clock.now,
      }),
    )
    await life.expire()
    expect(await life.pointNow(read)).toMatchObject({ state: 'AVAILABLE' })
    expect((await life.instanceNow())?.expiryDueAt).toEqual(new Date(life.clock.now.getTime() + 3_600_000))
    await requestCancel(life.database, { jobId: reader.id, actor, now: life.clock.now })
    await life.expire()
    expect(await life.pointNow(read)).toBeUndefined()
  })
})

describe('an expiry run on a vault that is not there', () => {
  test.for(['renamed', 'an empty mount point'])(
    'fails and removes nothing: the folder is %s',
    async (how, { databaseUrl, folder }) => {
      await using life = await startLife({ databaseUrl, folder })
      const points = [await life.addPoint(10), await life.addPoint(40), await life.addPoint(50)].map(({ id }) => id)
      await rename(life.vaultPath, `${life.vaultPath}-away`)
      if (how !== 'renamed') await mkdir(life.vaultPath)
      const job = await firstFailure(life.database, (await life.enqueueExpiry()).id)
      expect(job.error).toMatchObject({ code: 'STORAGE_UNREACHABLE' })
      expect(await life.pointIds()).toEqual(points)
      expect(await life.database.select().from(vaultOrphans)).toEqual([])
      await rm(life.vaultPath, { recursive: true, force: true })
      await rename(`${life.vaultPath}-away`, life.vaultPath)
      await requestCancel(life.database, { jobId: job.id, actor, now: life.clock.now })
      await life.expire()
      expect(await life.pointIds()).toEqual(points.slice(0, 1))
    },
  )
})

describe('a vault and its catalogue that disagree', () => {
  test('are reported both ways, once, and nothing is removed for it', async ({ databaseUrl, folder }) => {
    await using life = await startLife({ databaseUrl, folder })
    const good = await life.addPoint(1)
    const lost = await life.addPoint(2)
    await rm(join(life.vaultPath, lost.prefix, 'point.json'))
    const stray = pointPrefix(life.instance.id, crypto.randomUUID(), 1)
    await mkdir(join(life.vaultPath, stray))
    await writeFile(join(life.vaultPath, stray, '0001.dump.age'), 'twelve bytes')
    const backup = await life.database.transaction((tx) =>
      enqueueJob(tx, {
        operation: 'BACKUP',
        trigger: 'USER',
        input: {},
        subject: { instanceId: life.instance.id },
        runAt: new Date(Date.now() + day),
        actor,
        now: life.clock.now,
      }),
    )
    const underWay = pointPrefix(life.instance.id, backup.id, 1)
    await mkdir(join(life.vaultPath, underWay))
    await writeFile(join(life.vaultPath, underWay, '0001.dump.age'), 'not yet a point')

    const first = await life.expire()
    expect(first.status).toBe('COMPLETED_WITH_WARNINGS')
    expect(first.warnings[0]).toContain('1 folders (12 bytes) belong to no recovery point')
    const found = await life.database.select().from(vaultOrphans)
    expect(found).toHaveLength(2)
    expect(found).toContainEqual(
      expect.objectContaining({ kind: 'BYTES_WITHOUT_ROW', prefix: stray, objectCount: 1, sizeBytes: 12 }),
    )
    expect(found).toContainEqual(
      expect.objectContaining({ kind: 'ROW_WITHOUT_BYTES', prefix: lost.prefix, recoveryPointId: lost.id }),
    )
    expect(await life.pointNow(lost)).toMatchObject({
      state: 'SUSPECT',
      damage: [`${lost.prefix}point.json is missing from the vault.`],
    })
    expect(await life.pointNow(good)).toMatchObject({ state: 'AVAILABLE' })
    expect(await readdir(join(life.vaultPath, stray))).toEqual(['0001.dump.age'])

    const firstSeen = life.clock.now
    life.clock.now = new Date(life.clock.now.getTime() + day)
    await life.expire()
    const seenAgain = await life.database.select().from(vaultOrphans)
    expect(seenAgain.map(({ firstSeenAt, lastSeenAt }) => [firstSeenAt, lastSeenAt])).toEqual([
      [firstSeen, life.clock.now],
      [firstSeen, life.clock.now],
    ])
    expect(await told(life, 'VAULT_ORPHANS_FOUND')).toHaveLength(1)
    await rm(join(life.vaultPath, stray), { recursive: true })
    await life.expire()
    expect((await life.database.select().from(vaultOrphans)).map(({ kind }) => kind)).toEqual(['ROW_WITHOUT_BYTES'])
  })
})

describe('the clock', () => {
  test('starts the expiry of an instance at the end of its first point, and once', async ({ databaseUrl, folder }) => {
    await using life = await startLife({ databaseUrl, folder }, { clock: true })
    const old = await life.addPoint(29)
    await life.addPoint(1)
    await life.database.update(backupInstances).set({ expiryDueAt: old.expiresAt })
    life.clock.now = old.expiresAt
    await expect.poll(() => life.pointNow(old), { timeout: 10_000 }).toBeUndefined()
    // What is left is the newest point, which has no end: only its vault is looked at, a week later.
    const nextWeek = new Date(life.clock.now.getTime() + 7 * day)
    await expect.poll(async () => (await life.instanceNow())?.expiryDueAt, { timeout: 10_000 }).toEqual(nextWeek)
    const expiries = await life.database.select().from(jobs).where(eq(jobs.operation, 'EXPIRE'))
    expect(expiries).toMatchObject([{ status: 'COMPLETED', trigger: 'SYSTEM', createdBy: 'holdfast' }])
  })
})
