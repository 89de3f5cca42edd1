import { readdir, rename } from 'node:fs/promises'
import { join } from 'node:path'
import { eq } from 'drizzle-orm'
import { describe, expect } from 'vitest'
import { notifications } from '../src/database/tables/notification.ts'
import { recoveryPoints } from '../src/database/tables/recovery-point.ts'
import { vaultOrphans, vaults } from '../src/database/tables/vault.ts'
import { deleteBackupInstance } from '../src/instance/delete-backup-instance.ts'
import { findKeptBecause } from '../src/instance/expiry/find-kept-because.ts'
import { findInstances } from '../src/instance/find.ts'
import { enqueuePurge } from '../src/instance/purge/start-due-purges.ts'
import { stopProtection } from '../src/instance/stop-protection.ts'
import { findJobs } from '../src/job/find.ts'
import type { RecoveryPoint } from '../src/recovery-point/recovery-point.ts'
import { ForbiddenByImmutability } from '../src/vault/vault.ts'
import { day } from './kit/life.ts'
import { refusalOf } from './kit/lifecycle.ts'
import { actor } from './kit/protected-server.ts'
import { loseDisk, type ReplicatedLife, startReplicatedLife } from './kit/replica.ts'
import { test } from './kit/test.ts'

/** Where the folder of a point is: in its own vault, in the replica, in both or in none. */
async function placesOf({ vaultPath, replicaPath }: ReplicatedLife, { prefix }: RecoveryPoint): Promise<string[]> {
  const found = []
  for (const [name, path] of [
    ['vault', vaultPath],
    ['replica', replicaPath],
  ] as const) {
    const files = await readdir(join(path, prefix)).catch(() => [])
    if (files.length > 0) found.push(name)
  }
  return found
}

function deletion({ instance, clock }: ReplicatedLife) {
  const why = { reason: 'DECOMMISSIONED', comment: null } as const
  return { instanceId: instance.id, confirmName: 'shop', ...why, dryRun: false, actor, now: clock.now }
}

describe('copies that are kept by a rule of their own', () => {
  test('outlive their originals', async ({ databaseUrl, folder }) => {
    await using life = await startReplicatedLife({ databaseUrl, folder })
    const [old, newest] = [await life.addPoint(60), await life.addPoint(1)]
    const [oldCopy, newestCopy] = [
      await life.addCopy(old, { keptDays: 400 }),
      await life.addCopy(newest, { keptDays: 400 }),
    ]
    expect(await life.expire()).toMatchObject({ status: 'COMPLETED', error: null })
    expect((await life.pointIds()).toSorted()).toEqual([newest.id, oldCopy.id, newestCopy.id].toSorted())
    expect(await placesOf(life, old)).toEqual([])
    expect(await placesOf(life, oldCopy)).toEqual(['replica'])
    expect(await life.pointNow(oldCopy)).toMatchObject({ copyOfId: old.id, state: 'AVAILABLE' })
  })

  test('go before their originals, but for the newest one there', async ({ databaseUrl, folder }) => {
    await using life = await startReplicatedLife({ databaseUrl, folder })
    const originals = [await life.addPoint(25), await life.addPoint(20), await life.addPoint(15)]
    const copies = []
    for (const original of originals) copies.push(await life.addCopy(original, { keptDays: 7 }))
    expect(await life.expire()).toMatchObject({ status: 'COMPLETED', error: null, warnings: [] })
    const kept = copies.at(-1)
    expect((await life.pointIds()).toSorted()).toEqual([...originals.map(({ id }) => id), kept?.id].toSorted())
    for (const original of originals) expect(await placesOf(life, original)).toEqual(['vault'])
    for (const copy of copies) expect(await placesOf(life, copy)).toEqual(copy === kept ? ['replica'] : [])
    const why = await findKeptBecause(life.database, { pointIds: [kept?.id ?? ''], now: life.clock.now })
    expect(why.get(kept?.id ?? '')).toEqual(['NEWEST_RESTORABLE', 'BEST_PROVEN'])
  })
})

describe('the guards of each vault', () => {
  test('keep the last original though a newer and better proven copy is there, and the other way round', async ({
    databaseUrl,
    folder,
  }) => {
    await using life = await startReplicatedLife({ databaseUrl, folder })
    const original = await life.addPoint(60)
    const copy = await life.addCopy(original, { proof: 'RESTORED' })
    await life.expire()
    expect((await life.pointIds()).toSorted()).toEqual([original.id, copy.id].toSorted())
    const why = await findKeptBecause(life.database, { pointIds: [original.id, copy.id], now: life.clock.now })
    expect([...why.values()]).toEqual([
      ['NEWEST_RESTORABLE', 'BEST_PROVEN'],
      ['NEWEST_RESTORABLE', 'BEST_PROVEN'],
    ])
  })

  test('ask before too great a share of the copies goes, by the rule of the replica', async ({
    databaseUrl,
    folder,
  }) => {
    await using life = await startReplicatedLife({ databaseUrl, folder })
    const { database, replica } = life
    await database.update(vaults).set({ expiryShareLimitPercent: 20 }).where(eq(vaults.id, replica.id))
    for (const age of [50, 45, 40, 1]) {
      const original = await life.addPoint(age, { keptDays: 400 })
      await life.addCopy(original, { keptDays: 30 })
    }
    await life.expire()
    expect(await life.pointIds()).toHaveLength(8)
    expect((await life.instanceNow())?.expiryBlockedCount).toBe(3)
  })
})

describe('a replica that cannot be looked at', () => {
  test('holds up nothing in the vault itself, and loses nothing', async ({ databaseUrl, folder }) => {
    await using life = await startReplicatedLife({ databaseUrl, folder })
    const { replicaPath } = life
    const [old, newest] = [await life.addPoint(60), await life.addPoint(1)]
    const [oldCopy] = [await life.addCopy(old), await life.addCopy(newest)]
    await rename(replicaPath, `${replicaPath}.away`)
    const job = await life.expire()
    expect(job).toMatchObject({ status: 'FAILED', error: { code: 'STORAGE_UNREACHABLE' } })
    expect(await life.pointNow(old)).toBeUndefined()
    expect(await placesOf(life, old)).toEqual([])
    expect(await life.pointNow(oldCopy)).toMatchObject({ state: 'AVAILABLE', markedAt: null })
    expect((await life.instanceNow())?.expiryDueAt).toEqual(new Date(life.clock.now.getTime() + 3_600_000))
    // Each time that it is still away it is waited longer, up to a day.
    const pauses: number[] = []
    for (let round = 0; round < 6; round++) {
      life.clock.now = new Date(life.clock.now.getTime() + 60_000)
      expect(await life.expire()).toMatchObject({ status: 'FAILED' })
      pauses.push(((await life.instanceNow())?.expiryDueAt?.getTime() ?? 0) - life.clock.now.getTime())
    }
    expect(pauses.map((ms) => ms / 3_600_000)).toEqual([2, 4, 8, 16, 24, 24])
    await rename(`${replicaPath}.away`, replicaPath)
    expect(await life.expire()).toMatchObject({ status: 'COMPLETED' })
    expect(await life.pointNow(oldCopy)).toBeUndefined()
    expect(await placesOf(life, oldCopy)).toEqual([])
  })

  test('is compared with its own points alone, and the vault with its own', async ({ databaseUrl, folder }) => {
    await using life = await startReplicatedLife({ databaseUrl, folder })
    const original = await life.addPoint(1)
    const copy = await life.addCopy(original)
    await life.expire()
    expect(await life.database.select().from(vaultOrphans)).toEqual([])
    await rename(join(life.replicaPath, copy.prefix), join(life.replicaPath, `points/${life.instance.id}/stray.1`))
    expect(await life.expire()).toMatchObject({ status: 'COMPLETED_WITH_WARNINGS' })
    const orphans = await life.database.select().from(vaultOrphans)
    expect(orphans.map(({ vaultId, kind }) => [vaultId, kind]).toSorted()).toEqual([
      [life.replica.id, 'BYTES_WITHOUT_ROW'],
      [life.replica.id, 'ROW_WITHOUT_BYTES'],
    ])
    expect(await life.pointNow(original)).toMatchObject({ state: 'AVAILABLE' })
    expect(await life.pointNow(copy)).toMatchObject({ state: 'SUSPECT' })
  })
})

describe('an expiry that cannot look at every vault', () => {
  const failures = async ({ database }: ReplicatedLife) =>
    (await database.select().from(notifications)).filter(({ kind }) => kind === 'MAINTENANCE_FAILED')

  test('keeps its plan where nothing is due, and is told once a day', async ({ databaseUrl, folder }) => {
    await using life = await startReplicatedLife({ databaseUrl, folder })
    await life.addCopy(await life.addPoint(1))
    await loseDisk(life.replicaPath)
    for (let round = 1; round <= 2; round++) {
      expect(await life.expire()).toMatchObject({ status: 'FAILED', error: { code: 'STORAGE_UNREACHABLE' } })
    }
    const instance = await life.instanceNow()
    expect(instance?.expiryDueAt?.getTime()).toBe(life.clock.now.getTime() + 7 * day)
    expect(await failures(life)).toHaveLength(1)
  })
})

describe('deleting an instance with copies', () => {
  test('lists them, and purges the bytes of both vaults', async ({ databaseUrl, folder }) => {
    await using life = await startReplicatedLife({ databaseUrl, folder })
    const { database, clock } = life
    const original = await life.addPoint(1)
    const copy = await life.addCopy(original)
    const { effects } = await deleteBackupInstance(database, deletion(life))
    expect(effects.removed).toMatchObject({ storedBytes: 40 })
    expect([...effects.removed.ids].toSorted()).toEqual([original.id, copy.id].toSorted())
    clock.now = new Date(clock.now.getTime() + 15 * day)
    const [instance] = await findInstances(database, [life.instance.id])
    if (!instance) throw new Error('The instance is gone.')
    const job = await database.transaction((tx) =>
      enqueuePurge(tx, { instance, trigger: 'SYSTEM', actor, now: clock.now }),
    )
    const queued = (await findJobs(database, [job.id])).get(job.id)
    expect(queued?.lanes.toSorted()).toEqual([`vault:${life.vault.id}`, `vault:${life.replica.id}`].toSorted())
    expect(await life.service.ended(job.id)).toMatchObject({ status: 'COMPLETED', error: null })
    expect(await placesOf(life, original)).toEqual([])
    expect(await placesOf(life, copy)).toEqual([])
    expect(await database.select().from(recoveryPoints)).toEqual([])
  })

  test('waits for as long as the replica keeps what was deleted', async ({ databaseUrl, folder }) => {
    await using life = await startReplicatedLife({ databaseUrl, folder })
    const { database, clock, replica } = life
    await life.addCopy(await life.addPoint(1))
    await database.update(vaults).set({ softDeleteDays: 60 }).where(eq(vaults.id, replica.id))
    const { instance } = await deleteBackupInstance(database, deletion(life))
    expect(instance.scheduledPurgeAt).toEqual(new Date(clock.now.getTime() + 60 * day))
  })

  test('is refused while an immutable replica holds copies whose time is not over', async ({ databaseUrl, folder }) => {
    await using life = await startReplicatedLife({ databaseUrl, folder })
    const { database, clock, replica } = life
    await life.addCopy(await life.addPoint(1))
    await database.update(vaults).set({ immutability: 'LOCKED' }).where(eq(vaults.id, replica.id))
    const refusal = await refusalOf(deleteBackupInstance(database, deletion(life)))
    expect(refusal).toBeInstanceOf(ForbiddenByImmutability)
    expect(refusal).toMatchObject({ vaultId: replica.id })
    clock.now = new Date(clock.now.getTime() + 60 * day)
    expect((await deleteBackupInstance(database, deletion(life))).instance.state).toBe('SOFT_DELETED')
  })
})

test('an instance that is stopped for ever keeps its copies for ever', async ({ databaseUrl, folder }) => {
  await using life = await startReplicatedLife({ databaseUrl, folder })
  const { database, clock, instance } = life
  const originals = [await life.addPoint(60), await life.addPoint(1)]
  const copies = []
  for (const original of originals) copies.push(await life.addCopy(original))
  const stop = { data: 'RETAIN_FOREVER', reason: 'COST', comment: null, dryRun: false, actor } as const
  const { effects } = await stopProtection(database, { instanceId: instance.id, ...stop, now: clock.now })
  expect(effects.keptForever.ids).toHaveLength(4)
  await life.expire()
  for (const copy of copies) expect(await placesOf(life, copy)).toEqual(['replica'])
})
