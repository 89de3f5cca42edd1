import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { asc, eq } from 'drizzle-orm'
import { describe, expect } from 'vitest'
import type { Database } from '../src/database/connect.ts'
import { backupInstances } from '../src/database/tables/backup-instance.ts'
import { recoveryPoints } from '../src/database/tables/recovery-point.ts'
import { recoveryPointContents } from '../src/database/tables/recovery-point-contents.ts'
import { postgresServers } from '../src/database/tables/server.ts'
import { restoreAsFiles } from '../src/restore/as-files.ts'
import { exportRecoveryKey } from '../src/vault/export-recovery-key.ts'
import { importVault } from '../src/vault/import/import-vault.ts'
import { rebuildCatalogue } from '../src/vault/import/rebuild-catalogue.ts'
import { importReportOf } from '../src/vault/import/request.ts'
import { freshDatabase } from './kit/fresh-database.ts'
import { actor, runSql, type Service, startService } from './kit/protected-server.ts'
import { backUp, copied, copiesOf, protectTwice } from './kit/replica.ts'
import { test } from './kit/test.ts'
import { instanceId, type WrittenVault, writeVault } from './kit/written-vault.ts'

const asked = () => ({ readBack: true, dryRun: false, actor, now: new Date() })

interface Found {
  path: string
  recoveryKey: string
}

async function imported(service: Service, { path, recoveryKey }: Found, name: string) {
  const location = { kind: 'DIRECTORY' as const, path }
  const job = await importVault(service.database, {
    name,
    location,
    recoveryKey,
    secrets: service.secrets,
    ...asked(),
  })
  const ended = await service.ended(job.id)
  expect(ended.error).toBeNull()
  return importReportOf(ended)
}

async function rebuilt(service: Service, { id }: WrittenVault) {
  const ended = await service.ended((await rebuildCatalogue(service.database, { vaultId: id, ...asked() })).id)
  expect(ended.error).toBeNull()
  return importReportOf(ended)
}

/** A vault and its replica, as they are left: an older point whose original is gone, a copied one, and one that is not copied yet. */
async function writeBoth(folder: string) {
  const main = await writeVault(folder, { name: 'main' })
  const replica = await writeVault(folder, { name: 'replica' })
  const copyOf = (originalId: string, createdAt: string) =>
    replica.addPoint({
      createdAt,
      change: (manifest) => ({ ...manifest, copyOf: { recoveryPointId: originalId, vaultId: main.id } }),
    })
  const goneId = crypto.randomUUID()
  const left = await copyOf(goneId, '2026-02-01T02:30:00.000Z')
  const original = await main.addPoint({ createdAt: '2026-02-02T02:30:00.000Z' })
  const copy = await copyOf(original.id, '2026-02-02T02:30:00.000Z')
  const newest = await main.addPoint({ createdAt: '2026-02-03T02:30:00.000Z' })
  return { main, replica, goneId, left, original, copy, newest }
}

async function catalogue(database: Database) {
  const { id, vaultId, copyOfId, state, proof, recipient } = recoveryPoints
  return {
    home: (await database.select({ vaultId: backupInstances.vaultId }).from(backupInstances)).map((row) => row.vaultId),
    points: await database
      .select({ id, vaultId, copyOfId, state, proof, recipient })
      .from(recoveryPoints)
      .orderBy(asc(recoveryPoints.createdAt), asc(vaultId)),
  }
}

function pointIn({ id: vaultId, recipient }: WrittenVault, id: string, copyOfId: string | null = null) {
  return { id, vaultId, copyOfId, state: 'AVAILABLE', proof: 'READ_BACK', recipient }
}

describe('the import of a vault and of its replica', { timeout: 60_000 }, () => {
  test('knows the second copies as such when the vault itself is known, also where the original is gone', async ({
    databaseUrl,
    folder,
  }) => {
    await using service = await startService({ databaseUrl, folder })
    const { database } = service
    const { main, replica, goneId, left, original, copy, newest } = await writeBoth(folder)
    await imported(service, main, 'Main')
    const report = await imported(service, replica, 'Replica')
    expect(report).toMatchObject({
      pointsImported: 2,
      pointsReadBack: 2,
      unreadableCount: 0,
      instances: [],
      servers: [],
    })
    const all = await catalogue(database)
    expect(all.home).toEqual([main.id])
    expect(all.points).toHaveLength(4)
    const expected = [
      pointIn(replica, left.id, goneId),
      pointIn(main, original.id),
      pointIn(replica, copy.id, original.id),
      pointIn(main, newest.id),
    ]
    expect(all.points).toEqual(expect.arrayContaining(expected))
  })

  test('lets the copies stand for their originals until those are found, and moves the instance to where they are then', async ({
    databaseUrl,
    folder,
  }) => {
    await using service = await startService({ databaseUrl, folder })
    const { database } = service
    const { main, replica, left, original, copy, newest } = await writeBoth(folder)
    await imported(service, replica, 'Replica')
    expect(await catalogue(database)).toEqual({
      home: [replica.id],
      points: [pointIn(replica, left.id), pointIn(replica, copy.id)],
    })
    expect(await imported(service, main, 'Main')).toMatchObject({
      pointsImported: 2,
      unreadableCount: 0,
      instances: [],
    })
    const all = await catalogue(database)
    expect(all.home).toEqual([main.id])
    expect(all.points).toHaveLength(4)
    const expected = [
      pointIn(replica, left.id),
      pointIn(main, original.id),
      pointIn(replica, copy.id, original.id),
      pointIn(main, newest.id),
    ]
    expect(all.points).toEqual(expect.arrayContaining(expected))
  })

  test('gets back what the catalogue loses of either, as it was', async ({ databaseUrl, folder }) => {
    await using service = await startService({ databaseUrl, folder })
    const { database } = service
    const { main, replica, original, copy } = await writeBoth(folder)
    await imported(service, main, 'Main')
    await imported(service, replica, 'Replica')
    const before = await catalogue(database)
    for (const vault of [main, replica]) {
      await database.delete(recoveryPoints).where(eq(recoveryPoints.vaultId, vault.id))
      expect(await rebuilt(service, vault)).toMatchObject({ pointsImported: 2, unreadableCount: 0 })
      expect(await catalogue(database)).toEqual(before)
      expect(await rebuilt(service, vault)).toMatchObject({ pointsImported: 0, alreadyKnown: 2 })
    }
    // All of it, the replica's part first.
    for (const table of [recoveryPoints, backupInstances, postgresServers]) await database.delete(table)
    await rebuilt(service, replica)
    await rebuilt(service, main)
    const after = await catalogue(database)
    expect(after.home).toEqual([main.id])
    expect(after.points.map(({ id }) => id)).toEqual(before.points.map(({ id }) => id))
    expect(after.points.find(({ id }) => id === copy.id)?.copyOfId).toBe(original.id)
  })

  test('has each copy once, and names one that is there twice', async ({ databaseUrl, folder }) => {
    await using service = await startService({ databaseUrl, folder })
    const { main, replica, original, copy } = await writeBoth(folder)
    const twice = await replica.addPoint({
      createdAt: '2026-02-02T02:30:00.000Z',
      change: (manifest) => ({ ...manifest, copyOf: { recoveryPointId: original.id, vaultId: main.id } }),
    })
    await imported(service, main, 'Main')
    const report = await imported(service, replica, 'Replica')
    expect(report).toMatchObject({ pointsImported: 2, unreadableCount: 1 })
    expect(report?.unreadable[0]?.reason).toMatch(/is one more copy of the same/)
    const copies = await service.database.$count(recoveryPoints, eq(recoveryPoints.copyOfId, original.id))
    expect(copies).toBe(1)
    expect([copy.prefix, twice.prefix]).toContain(report?.unreadable[0]?.folder)
  })

  test('takes no other originals for a protected instance than those it has copies of, until protection is stopped', async ({
    databaseUrl,
    folder,
  }) => {
    await using service = await startService({ databaseUrl, folder })
    const { database } = service
    const { main, replica, original, copy, newest } = await writeBoth(folder)
    await imported(service, replica, 'Replica')
    const isOurs = eq(backupInstances.id, instanceId)
    await database.update(backupInstances).set({ state: 'BACKUP_SCHEDULES_SUSPENDED' }).where(isOurs)
    const report = await imported(service, main, 'Main')
    expect(report).toMatchObject({ pointsImported: 1, unreadableCount: 1 })
    const reason = expect.stringMatching(/protected in another vault/)
    expect(report?.unreadable).toEqual([{ folder: newest.prefix, reason }])
    const between = await catalogue(database)
    expect(between.home).toEqual([replica.id])
    expect(between.points).toContainEqual(pointIn(replica, copy.id, original.id))
    await database.update(backupInstances).set({ state: 'PROTECTION_STOPPED' }).where(isOurs)
    expect(await rebuilt(service, main)).toMatchObject({ pointsImported: 1, unreadableCount: 0 })
    expect((await catalogue(database)).points).toContainEqual(pointIn(main, newest.id))
  })

  test('believes no manifest that says it is a copy of itself', async ({ databaseUrl, folder }) => {
    await using service = await startService({ databaseUrl, folder })
    const vault = await writeVault(folder)
    await vault.addPoint({
      change: (manifest) => ({
        ...manifest,
        copyOf: { recoveryPointId: manifest.recoveryPointId, vaultId: manifest.vaultId },
      }),
    })
    await vault.addPoint({ change: (manifest) => ({ ...manifest, copyOf: { recoveryPointId: 'x' } }) })
    expect(await imported(service, vault, 'Found')).toMatchObject({ pointsImported: 0, unreadableCount: 2 })
  })
})

test('a copy is restored from after both vaults were imported, in either order', async ({
  databaseUrl,
  folder,
  source,
}) => {
  await runSql(source, 'postgres', 'drop database if exists shop', 'create database shop')
  await runSql(source, 'shop', 'create table orders as select i from generate_series(1, 321) i')
  await using service = await startService({ databaseUrl, folder })
  const { instance, vault, replica, vaultPath, replicaPath } = await protectTwice(service, source, folder)
  const original = await backUp(service, instance.id)
  await copied(service.database, original.id)
  const [copy] = await copiesOf(service.database, instance.id)
  const keyOf = (vaultId: string) =>
    exportRecoveryKey(service.database, { vaultId, secrets: service.secrets, actor, now: new Date() })
  const both = [
    { path: vaultPath, recoveryKey: (await keyOf(vault.id)).recoveryKey },
    { path: replicaPath, recoveryKey: (await keyOf(replica.id)).recoveryKey },
  ]
  for (const [turn, order] of [both, both.toReversed()].entries()) {
    await using lost = await freshDatabase()
    await using heir = await startService({ databaseUrl: lost.url, folder })
    for (const [place, found] of order.entries()) await imported(heir, found, `Vault ${place}`)
    const [known] = await copiesOf(heir.database, instance.id)
    expect(known).toMatchObject({ id: copy?.id, copyOfId: original.id, vaultId: replica.id, prefix: copy?.prefix })
    const contents = await heir.database.select().from(recoveryPointContents)
    expect(contents.map(({ recoveryPointId }) => recoveryPointId).toSorted()).toEqual(
      [original.id, copy?.id ?? ''].toSorted(),
    )
    const directory = join(folder, `files ${turn}`)
    const job = await restoreAsFiles(heir.database, {
      recoveryPointId: copy?.id ?? '',
      target: { kind: 'DIRECTORY', path: directory },
      databases: ['shop'],
      actor,
      now: new Date(),
    })
    expect(await heir.ended(job.id)).toMatchObject({ status: 'COMPLETED', error: null })
    expect(await readdir(directory)).toContain('manifest.json')
  }
}, 120_000)
