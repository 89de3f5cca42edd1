import { cp, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { eq } from 'drizzle-orm'
import { describe, expect } from 'vitest'
import { pageAuditRecords } from '../src/audit/find.ts'
import { backupInstances } from '../src/database/tables/backup-instance.ts'
import { notifications } from '../src/database/tables/notification.ts'
import { recoveryPoints } from '../src/database/tables/recovery-point.ts'
import { postgresServers } from '../src/database/tables/server.ts'
import { vaultOrphans, vaults } from '../src/database/tables/vault.ts'
import { vaultImports } from '../src/database/tables/vault-key.ts'
import { enqueueJob } from '../src/job/enqueue.ts'
import type { JobRow } from '../src/job/states.ts'
import { NameTaken } from '../src/refusal.ts'
import { generateIdentity } from '../src/secret/age-identity.ts'
import { createVault } from '../src/vault/create.ts'
import { ImportAlreadyRunning, importVault } from '../src/vault/import/import-vault.ts'
import { rebuildCatalogue } from '../src/vault/import/rebuild-catalogue.ts'
import { importReportOf } from '../src/vault/import/request.ts'
import { LocationTaken } from '../src/vault/vault.ts'
import { everyRow } from './kit/every-row.ts'
import { actor, type Service, startService } from './kit/protected-server.ts'
import { put } from './kit/storage-contract.ts'
import { test } from './kit/test.ts'
import { instanceId, type WrittenVault, writeVault } from './kit/written-vault.ts'

const now = () => new Date()

async function startImport(
  service: Pick<Service, 'database' | 'secrets'>,
  vault: WrittenVault,
  changes = {},
): Promise<JobRow> {
  return importVault(service.database, {
    name: 'Found',
    location: { kind: 'DIRECTORY', path: vault.path },
    recoveryKey: vault.recoveryKey,
    readBack: true,
    dryRun: false,
    secrets: service.secrets,
    actor,
    now: now(),
    ...changes,
  })
}

async function imported(service: Service, vault: WrittenVault, changes = {}) {
  const ended = await service.ended((await startImport(service, vault, changes)).id)
  return { ended, report: importReportOf(ended) }
}

async function rebuilt(service: Service, vault: WrittenVault, changes = {}) {
  const asked = { vaultId: vault.id, readBack: true, dryRun: false, actor, now: now(), ...changes }
  const ended = await service.ended((await rebuildCatalogue(service.database, asked)).id)
  return { ended, report: importReportOf(ended) }
}

describe('the import of a vault that nothing is known of', () => {
  test('makes known the vault under its own id, its points, and their instance as stopped with a server without credentials', async ({
    databaseUrl,
    folder,
  }) => {
    await using service = await startService({ databaseUrl, folder })
    const { database } = service
    const vault = await writeVault(folder)
    const older = await vault.addPoint({ createdAt: '2026-01-31T02:30:00.000Z', serverName: 'Old name' })
    const newer = await vault.addPoint()
    const { ended, report } = await imported(service, vault)
    expect(ended).toMatchObject({ status: 'COMPLETED', error: null, warnings: [] })
    expect(report).toEqual({
      vaultId: vault.id,
      vaultName: 'Found',
      dryRun: false,
      pointsImported: 2,
      alreadyKnown: 0,
      manifestsTakenOver: 0,
      pointsReadBack: 2,
      pointsDamaged: 0,
      instances: ['Orders in Main'],
      servers: ['Orders'],
      unreadableCount: 0,
      unreadable: [],
    })
    expect(await database.select().from(vaults)).toMatchObject([
      { id: vault.id, name: 'Found', recipient: vault.recipient, createdAt: new Date('2026-01-01T00:00:00Z') },
    ])
    expect(await database.select().from(postgresServers)).toMatchObject([
      {
        name: 'Orders',
        host: 'db.example.org',
        port: 5432,
        username: null,
        sealedPassword: null,
        passwordSetAt: null,
        tlsMode: 'VERIFY_FULL',
        versionNumber: 150_006,
      },
    ])
    expect(await database.select().from(backupInstances)).toMatchObject([
      {
        id: instanceId,
        name: 'Orders in Main',
        state: 'PROTECTION_STOPPED',
        nextBackupAt: null,
        vaultId: vault.id,
        lastTaggedAt: { DAILY: '2026-02-01T02:30:00.000Z' },
      },
    ])
    const points = await database.select().from(recoveryPoints).orderBy(recoveryPoints.createdAt)
    expect(points.map(({ id }) => id)).toEqual([older.id, newer.id])
    expect(points[1]).toMatchObject({
      prefix: newer.prefix,
      jobId: null,
      state: 'AVAILABLE',
      proof: 'READ_BACK',
      tag: 'DAILY',
      policyName: 'Nightly',
      pointInTime: new Date('2026-02-01T02:30:00.000Z'),
      expiresAt: new Date('2026-03-01T02:30:00.000Z'),
      serverVersionNumber: 150_006,
      toolMajor: 15,
      sourceBytes: 9_000,
      recipient: vault.recipient,
      databases: [{ name: 'shop', sourceBytes: 9_000, tableCount: 1, rowCount: 12 }],
    })
    const { rows } = await pageAuditRecords(database, { page: { first: 10 } })
    expect(rows.map(({ action }) => action)).toEqual(
      expect.arrayContaining(['importVault', 'vaultImported', 'recoveryPointsImported']),
    )
  })

  test('keeps the recovery key sealed, apart from the job, and only until the job has ended', async ({
    databaseUrl,
    folder,
  }) => {
    await using service = await startService({ databaseUrl, folder })
    const vault = await writeVault(folder)
    await vault.addPoint()
    await imported(service, vault)
    expect(await service.database.select().from(vaultImports)).toEqual([])
    const wrong = generateIdentity().identity
    await imported(service, await writeVault(folder, { name: 'other' }), { name: 'Other', recoveryKey: wrong })
    const everything = `${await everyRow(service.database)}${service.logged()}`
    expect(everything).toContain('Found')
    for (const key of [vault.recoveryKey, wrong]) expect(everything).not.toContain(key)
    expect(everything).not.toContain('AGE-SECRET')
  })

  test('refuses at once what is no key, a name or a place that is taken, and a second import of the same place', async ({
    databaseUrl,
    database,
    folder,
  }) => {
    const service = await (async () => {
      await using started = await startService({ databaseUrl, folder })
      return started
    })()
    const stopped = { database, secrets: service.secrets }
    const vault = await writeVault(folder)
    const notAKey = startImport(stopped, vault, { recoveryKey: 'AGE-SECRET-KEY-1QQQ' })
    await expect(notAKey).rejects.toMatchObject({ field: 'recoveryKey', message: expect.not.stringContaining('QQQ') })
    const location = { kind: 'DIRECTORY' as const, path: join(folder, 'main') }
    await createVault(database, { name: 'Main', location, secrets: service.secrets, actor, now: now() })
    await expect(startImport(stopped, vault, { name: 'Main' })).rejects.toBeInstanceOf(NameTaken)
    await expect(startImport(stopped, vault, { location })).rejects.toBeInstanceOf(LocationTaken)
    await startImport(stopped, vault)
    await expect(startImport(stopped, vault, { name: 'Second' })).rejects.toBeInstanceOf(ImportAlreadyRunning)
  })

  test('fails without recording anything where the key is another one, or there is no vault', async ({
    databaseUrl,
    folder,
  }) => {
    await using service = await startService({ databaseUrl, folder })
    const vault = await writeVault(folder)
    await vault.addPoint()
    const other = generateIdentity()
    const { ended } = await imported(service, vault, { recoveryKey: other.identity })
    expect(ended.error).toMatchObject({ code: 'WRONG_KEY', isUserError: true })
    expect(ended.error?.details).toContain(vault.recipient)
    const nowhere = { location: { kind: 'DIRECTORY', path: join(folder, 'main') } }
    await vault.storage.write('unrelated', put('x'))
    await rm(join(vault.path, 'holdfast-vault.json'))
    expect((await imported(service, vault)).ended.error).toMatchObject({ code: 'VAULT_MISSING' })
    const gone = await startImport(service, vault, nowhere)
    expect(gone.operation).toBe('IMPORT_VAULT')
    for (const table of [vaults, backupInstances, recoveryPoints, postgresServers]) {
      expect(await service.database.select().from(table)).toEqual([])
    }
  })

  test('tells in a dry run what it would make known, and records nothing', async ({ databaseUrl, folder }) => {
    await using service = await startService({ databaseUrl, folder })
    const vault = await writeVault(folder)
    await vault.addPoint()
    await vault.storage.write(`points/${instanceId}/${crypto.randomUUID()}.1/0001.dump.age`, put('half'))
    const { ended, report } = await imported(service, vault, { dryRun: true })
    expect(ended.status).toBe('COMPLETED_WITH_WARNINGS')
    expect(report).toMatchObject({ dryRun: true, pointsImported: 1, unreadableCount: 1, pointsReadBack: 0 })
    for (const table of [vaults, backupInstances, recoveryPoints, vaultOrphans]) {
      expect(await service.database.select().from(table)).toEqual([])
    }
  })

  test('goes under other names where those of the vault are taken, and uses a server that is registered already', async ({
    databaseUrl,
    folder,
  }) => {
    await using service = await startService({ databaseUrl, folder })
    const { database } = service
    const [one, two, three] = [
      await writeVault(folder),
      await writeVault(folder, { name: 'two' }),
      await writeVault(folder, { name: 'three' }),
    ]
    const ids = [instanceId, crypto.randomUUID(), crypto.randomUUID()]
    await one.addPoint()
    await two.addPoint({ instanceId: ids[1] ?? '' })
    await three.addPoint({
      instanceId: ids[2] ?? '',
      change: (manifest) => ({ ...manifest, server: { ...manifest.server, host: 'elsewhere' } }),
    })
    await imported(service, one)
    await imported(service, two, { name: 'Two' })
    const { report } = await imported(service, three, { name: 'Three' })
    expect(report).toMatchObject({ instances: ['Orders in Main (3)'], servers: ['Orders (2)'] })
    const instances = await database.select().from(backupInstances).orderBy(backupInstances.name)
    expect(instances.map(({ name }) => name)).toEqual(['Orders in Main', 'Orders in Main (2)', 'Orders in Main (3)'])
    expect(instances[0]?.serverId).toBe(instances[1]?.serverId)
    expect(instances[2]?.serverId).not.toBe(instances[1]?.serverId)
  })

  test('is refused for a copy of a vault that is known', async ({ databaseUrl, folder }) => {
    await using service = await startService({ databaseUrl, folder })
    const vault = await writeVault(folder)
    await imported(service, vault)
    const copy = { ...vault, path: join(folder, 'copy') }
    await cp(vault.path, copy.path, { recursive: true })
    const { ended } = await imported(service, copy, { name: 'Copy' })
    expect(ended.error).toMatchObject({ code: 'VAULT_NOT_IMPORTED' })
    expect(ended.error?.details).toMatch(/is known already: it is vault "Found"/)
  })
})

describe('what is no recovery point', () => {
  test('is named with its reason, counted as an orphan, told once, and left as it is', async ({
    databaseUrl,
    folder,
  }) => {
    await using service = await startService({ databaseUrl, folder })
    const { database } = service
    const vault = await writeVault(folder)
    const whole = await vault.addPoint()
    const cut = await vault.addPoint()
    await truncate(join(vault.path, cut.prefix, cut.file), 20)
    const lacking = await vault.addPoint()
    await rm(join(vault.path, lacking.prefix, lacking.file))
    const headless = await vault.addPoint()
    await rm(join(vault.path, headless.prefix, 'point.json'))
    const changed = await vault.addPoint()
    await writeFile(join(vault.path, changed.prefix, 'manifest.json.age'), 'age-encryption.org/v1 no more')
    const foreign = await vault.addPoint({ change: (manifest) => ({ ...manifest, vaultId: crypto.randomUUID() }) })
    const future = await vault.addPoint({ change: (manifest) => ({ ...manifest, format: 3 as never }) })
    const mixed = await vault.addPoint({ change: (manifest) => ({ ...manifest, format: 2 }) })
    const before = await readdir(vault.path, { recursive: true })
    const { ended, report } = await imported(service, vault)
    expect(ended.status).toBe('COMPLETED_WITH_WARNINGS')
    expect(report).toMatchObject({ pointsImported: 1, pointsReadBack: 1, unreadableCount: 7 })
    const reasons = new Map(report?.unreadable.map((each) => [each.folder, each.reason]))
    expect(reasons.get(cut.prefix)).toMatch(/0001\.dump\.zst\.age has 20 bytes in the vault where \d+ were written/)
    expect(reasons.get(lacking.prefix)).toMatch(/0001\.dump\.zst\.age is missing from the vault/)
    expect(reasons.get(headless.prefix)).toMatch(/never finished/)
    expect(reasons.get(changed.prefix)).toMatch(/sha256 differs/)
    expect(reasons.get(foreign.prefix)).toMatch(/of another vault/)
    expect(reasons.get(future.prefix)).toMatch(/no manifest that this version can read/)
    expect(reasons.get(mixed.prefix)).toMatch(/no manifest that this version can read/)
    expect((await database.select().from(recoveryPoints)).map(({ id }) => id)).toEqual([whole.id])
    const orphans = await database.select().from(vaultOrphans)
    expect(orphans.map(({ prefix }) => prefix).toSorted()).toEqual([...reasons.keys()].toSorted())
    expect(await database.select().from(notifications)).toMatchObject([{ kind: 'VAULT_ORPHANS_FOUND' }])
    expect(await readdir(vault.path, { recursive: true })).toEqual(before)
  })

  test('lies about where it is without being followed: nothing outside of the vault is read, and nothing huge', async ({
    databaseUrl,
    folder,
  }) => {
    await using service = await startService({ databaseUrl, folder })
    const { database } = service
    const vault = await writeVault(folder)
    await writeFile(join(folder, 'outside.age'), 'secret of the machine')
    const files = ['../../../../outside.age', '/etc/passwd', '..', '.hidden', 'a/b', '', 'x\0y', '-rf']
    for (const file of files) {
      await vault.addPoint({
        change: (manifest) => ({ ...manifest, artifacts: manifest.artifacts.map((each) => ({ ...each, file })) }),
      })
    }
    const others: ((manifest: object) => unknown)[] = [
      (manifest) => ({ ...manifest, instance: { id: '../..', name: 'x' } }),
      (manifest) => ({ ...manifest, server: { name: 'x', host: '/tmp', port: 5432, version: '15', versionNumber: 1 } }),
      (manifest) => ({ ...manifest, tag: 'FOR_EVER' }),
      (manifest) => ({ ...manifest, expiresAt: 'soon' }),
      (manifest) => ({ ...manifest, databases: [{ report: { name: 7 } }] }),
      (manifest) => ({ ...manifest, artifacts: [] }),
      () => null,
      () => [1, 2],
    ]
    for (const change of others) await vault.addPoint({ change })
    const huge = await vault.addPoint()
    await writeFile(join(vault.path, huge.prefix, 'point.json'), '')
    await truncate(join(vault.path, huge.prefix, 'point.json'), 3_000_000_000)
    const bulky = await vault.addPoint()
    await truncate(join(vault.path, bulky.prefix, 'manifest.json.age'), 3_000_000_000)
    await vault.storage.write('points/not-an-id/folder.1/point.json', put('{}'))
    await vault.storage.write('points/stray', put('x'))
    const { ended, report } = await imported(service, vault)
    expect(ended).toMatchObject({ status: 'COMPLETED_WITH_WARNINGS', error: null })
    expect(report).toMatchObject({ pointsImported: 0, unreadableCount: files.length + others.length + 4 })
    const reasons = new Map(report?.unreadable.map((each) => [each.folder, each.reason]))
    expect(reasons.get(huge.prefix)).toMatch(/larger than/)
    expect(reasons.get(bulky.prefix)).toMatch(/larger than/)
    expect(reasons.get('points/stray')).toMatch(/does not lie in the folder of a backup instance/)
    expect(JSON.stringify(report)).not.toContain('secret of the machine')
    expect(await database.select().from(backupInstances)).toEqual([])
    expect(await database.select().from(vaultOrphans)).toHaveLength(files.length + others.length + 2)
  })

  test('of a bit that has changed is found when the point is read back: it is known, and suspect', async ({
    databaseUrl,
    folder,
  }) => {
    await using service = await startService({ databaseUrl, folder })
    const vault = await writeVault(folder)
    const point = await vault.addPoint()
    const path = join(vault.path, point.prefix, point.file)
    const bytes = await readFile(path)
    bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) ^ 1
    await writeFile(path, bytes)
    const { report } = await imported(service, vault)
    expect(report).toMatchObject({ pointsImported: 1, pointsReadBack: 0, pointsDamaged: 1 })
    const [row] = await service.database.select().from(recoveryPoints)
    expect(row).toMatchObject({ state: 'SUSPECT', proof: 'WRITTEN', damage: [expect.stringContaining(point.file)] })
  })
})

describe('the catalogue of a known vault', () => {
  test('gets back what it has lost, once, and nothing else is touched', async ({ databaseUrl, folder }) => {
    await using service = await startService({ databaseUrl, folder })
    const { database } = service
    const vault = await writeVault(folder)
    const [kept, lost] = [await vault.addPoint(), await vault.addPoint()]
    await imported(service, vault)
    await database.delete(recoveryPoints).where(eq(recoveryPoints.id, lost.id))
    const heldAt = new Date('2026-02-02T00:00:00Z')
    await database.update(recoveryPoints).set({ heldAt, proof: 'DECODED' }).where(eq(recoveryPoints.id, kept.id))
    const before = await database.select().from(recoveryPoints)
    expect((await rebuilt(service, vault)).report).toMatchObject({
      pointsImported: 1,
      alreadyKnown: 1,
      pointsReadBack: 1,
    })
    const after = await database.select().from(recoveryPoints)
    expect(after).toEqual(expect.arrayContaining(before))
    expect(after.map(({ id }) => id).toSorted()).toEqual([kept.id, lost.id].toSorted())
    const again = await rebuilt(service, vault)
    expect(again.report).toMatchObject({
      pointsImported: 0,
      alreadyKnown: 2,
      pointsReadBack: 0,
      instances: [],
      servers: [],
    })
    expect(again.ended.status).toBe('COMPLETED')
    expect(await database.select().from(recoveryPoints)).toEqual(after)
  })

  test('gets back instances and servers too', async ({ databaseUrl, folder }) => {
    await using service = await startService({ databaseUrl, folder })
    const { database } = service
    const vault = await writeVault(folder)
    await vault.addPoint()
    await imported(service, vault, { readBack: false })
    expect(await database.select().from(recoveryPoints)).toMatchObject([{ proof: 'WRITTEN', state: 'AVAILABLE' }])
    for (const table of [recoveryPoints, backupInstances, postgresServers]) await database.delete(table)
    expect((await rebuilt(service, vault)).report).toMatchObject({ instances: ['Orders in Main'], servers: ['Orders'] })
    expect(await database.select().from(recoveryPoints)).toMatchObject([{ proof: 'READ_BACK' }])
  })

  test('has each point once when two jobs make it known at the same time', async ({ databaseUrl, folder }) => {
    await using service = await startService({ databaseUrl, folder })
    const { database } = service
    const vault = await writeVault(folder)
    for (let day = 1; day <= 9; day++) {
      await vault.addPoint({ createdAt: `2026-02-0${day}T02:30:00.000Z`, serverName: `Orders ${day}` })
      await vault.addPoint({ instanceId: crypto.randomUUID() })
    }
    await imported(service, vault)
    for (const table of [recoveryPoints, backupInstances, postgresServers]) await database.delete(table)
    const twice = await database.transaction((tx) =>
      Promise.all(
        [1, 2].map(() =>
          enqueueJob(tx, {
            operation: 'IMPORT_VAULT',
            trigger: 'USER',
            input: { readBack: true, dryRun: false },
            subject: { vaultId: vault.id },
            actor,
            now: now(),
          }),
        ),
      ),
    )
    const ended = await Promise.all(twice.map(({ id }) => service.ended(id)))
    for (const job of ended) expect(job).toMatchObject({ status: 'COMPLETED', error: null })
    expect(await database.select().from(recoveryPoints)).toHaveLength(18)
    expect(await database.select().from(backupInstances)).toHaveLength(10)
    expect(await database.select().from(postgresServers)).toHaveLength(10)
  })

  test('does not get back a point that was removed, whose bytes are gone', async ({ databaseUrl, folder }) => {
    await using service = await startService({ databaseUrl, folder })
    const { database } = service
    const vault = await writeVault(folder)
    const [kept, removed] = [await vault.addPoint(), await vault.addPoint()]
    await imported(service, vault)
    await vault.storage.removeAll(removed.prefix)
    await database.delete(recoveryPoints).where(eq(recoveryPoints.id, removed.id))
    expect((await rebuilt(service, vault)).report).toMatchObject({
      pointsImported: 0,
      alreadyKnown: 1,
      unreadableCount: 0,
    })
    expect((await database.select().from(recoveryPoints)).map(({ id }) => id)).toEqual([kept.id])
  })
})
