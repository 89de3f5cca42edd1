import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { eq } from 'drizzle-orm'
import { expect } from 'vitest'
import { recoveryPoints } from '../src/database/tables/recovery-point.ts'
import { verifyRecoveryPoint } from '../src/recovery-point/verify.ts'
import { restoreAsFiles } from '../src/restore/as-files.ts'
import { directoryStorage } from '../src/storage/directory.ts'
import { checkPointHeader } from '../src/storage/point-header.ts'
import { findVaults } from '../src/vault/find.ts'
import { rebuildCatalogue } from '../src/vault/import/rebuild-catalogue.ts'
import { rotateVaultKey } from '../src/vault/key/rotate.ts'
import { backedUp } from './kit/backed-up.ts'
import { actor, firstFailure, pathOf, startService } from './kit/protected-server.ts'
import { backUp } from './kit/replica.ts'
import { test } from './kit/test.ts'

const now = () => new Date()

test('a point whose plain header alone is damaged or missing is restored, and a verification writes it anew', {
  timeout: 120_000,
}, async ({ databaseUrl, folder, source }) => {
  await using service = await startService({ databaseUrl, folder })
  const { database, ended } = service
  const point = await backedUp(service, source, folder)
  const [vault] = await findVaults(database, [point.vaultId])
  if (!vault) throw new Error('The vault is gone.')
  const path = join(pathOf(vault), point.prefix, 'point.json')
  const written = await readFile(path, 'utf8')
  const harms = [() => writeFile(path, written.replace('"createdAt": "2', '"createdAt": "3')), () => rm(path)]
  for (const [turn, harm] of harms.entries()) {
    await harm()
    const target = { kind: 'DIRECTORY' as const, path: join(folder, `files ${turn}`) }
    const asked = { recoveryPointId: point.id, target, databases: null, actor, now: now() }
    const restore = await ended((await restoreAsFiles(database, asked)).id)
    expect(restore).toMatchObject({ status: 'COMPLETED_WITH_WARNINGS', error: null })
    expect(restore.warnings.join()).toContain('point.json')
    // As the comparison of an expiry run has it, or a version before this one.
    const damage = [`${point.prefix}point.json is missing from the vault.`]
    await database.update(recoveryPoints).set({ state: 'SUSPECT', damage, damageLevel: 'READ_BACK' })
    const job = await verifyRecoveryPoint(database, {
      recoveryPointId: point.id,
      level: 'READ_BACK',
      actor,
      now: now(),
    })
    const verified = await ended(job.id)
    expect(verified).toMatchObject({ status: 'COMPLETED_WITH_WARNINGS', error: null })
    expect(verified.warnings.join()).toContain('It was written anew.')
    expect(await readFile(path, 'utf8')).toBe(written)
    const [after] = await database.select().from(recoveryPoints).where(eq(recoveryPoints.id, point.id))
    expect(after).toMatchObject({ state: 'AVAILABLE', damage: [] })
  }
})

test('a point whose plain header alone is damaged or missing is given a new key, and read back, and has its header written anew', {
  timeout: 120_000,
}, async ({ databaseUrl, folder, source }) => {
  await using service = await startService({ databaseUrl, folder })
  const { database, secrets, ended } = service
  const point = await backedUp(service, source, folder)
  const asked = { vaultId: point.vaultId, secrets, actor, now: now() }
  const [first] = await findVaults(database, [point.vaultId])
  if (!first) throw new Error('The vault is gone.')
  const path = join(pathOf(first), point.prefix, 'point.json')
  const storage = directoryStorage(pathOf(first))
  const facts = {
    recoveryPointId: point.id,
    instanceId: point.instanceId,
    vaultId: point.vaultId,
    createdAt: point.createdAt.toISOString(),
  }
  const cut = () => writeFile(path, '{ "format": "holdf')
  const change = async () =>
    writeFile(path, (await readFile(path, 'utf8')).replace('"createdAt": "2', '"createdAt": "3'))
  const rotate = async () => (await rotateVaultKey(database, { ...asked, dryRun: false })).job
  const rebuild = () => rebuildCatalogue(database, { ...asked, readBack: true, dryRun: false })
  const works = [
    { work: rotate, harms: [cut, change, () => rm(path)] },
    { work: rebuild, harms: [cut, change] },
  ]
  for (const { work, harms } of works) {
    for (const harm of harms) {
      await harm()
      await database.update(recoveryPoints).set({ proof: 'WRITTEN' })
      const done = await ended((await work()).id)
      expect(done).toMatchObject({ status: 'COMPLETED_WITH_WARNINGS', error: null })
      expect(done.warnings).toContainEqual(expect.stringMatching(/point\.json .*was written anew/))
      const [after] = await database.select().from(recoveryPoints).where(eq(recoveryPoints.id, point.id))
      const [vault] = await findVaults(database, [point.vaultId])
      expect(after).toMatchObject({ state: 'AVAILABLE', damage: [], manifestRecipient: vault?.recipient })
      await checkPointHeader(storage, point.prefix, { storedSha256: after?.manifestSha256 ?? '', facts })
    }
  }
})

test('a vault whose header is lost or damaged gets it back from its catalogue, where its points are there', {
  timeout: 120_000,
}, async ({ databaseUrl, folder, source }) => {
  await using service = await startService({ databaseUrl, folder })
  const { database, secrets, ended } = service
  const point = await backedUp(service, source, folder)
  const asked = { vaultId: point.vaultId, secrets, actor, now: now() }
  const { job } = await rotateVaultKey(database, { ...asked, dryRun: false })
  expect((await ended(job.id)).error).toBeNull()
  const [vault] = await findVaults(database, [point.vaultId])
  if (!vault) throw new Error('The vault is gone.')
  const header = join(pathOf(vault), 'holdfast-vault.json')
  const written = JSON.parse(await readFile(header, 'utf8'))
  const rebuild = () => rebuildCatalogue(database, { ...asked, readBack: true, dryRun: false })
  for (const harm of [() => rm(header), () => writeFile(header, '{ "format": "holdfa')]) {
    await harm()
    expect(await ended((await rebuild()).id)).toMatchObject({
      warnings: [expect.stringContaining('was written anew')],
      error: null,
    })
    expect(JSON.parse(await readFile(header, 'utf8'))).toEqual({
      ...written,
      createdAt: expect.any(String),
      canary: expect.any(String),
    })
    expect((await backUp(service, point.instanceId)).state).toBe('AVAILABLE')
  }
  // An empty folder is a disk that is not mounted: nothing shows that it is the vault.
  await rename(pathOf(vault), join(folder, 'away'))
  await mkdir(pathOf(vault))
  expect((await firstFailure(database, (await rebuild()).id)).error).toMatchObject({ code: 'STORAGE_UNREACHABLE' })
  expect(await readdir(pathOf(vault))).toEqual([])
})
