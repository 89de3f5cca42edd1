import { mkdir, readFile, rename, rmdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { eq } from 'drizzle-orm'
import { describe, expect } from 'vitest'
import { recoveryPoints } from '../src/database/tables/recovery-point.ts'
import { vaults } from '../src/database/tables/vault.ts'
import { vaultKeys } from '../src/database/tables/vault-key.ts'
import type { RecoveryPoint } from '../src/recovery-point/recovery-point.ts'
import { restoreAsFiles } from '../src/restore/as-files.ts'
import { generateIdentity } from '../src/secret/age-identity.ts'
import { directoryStorage } from '../src/storage/directory.ts'
import { readKeyring } from '../src/storage/keyring.ts'
import { checkPointHeader, readPointHeader } from '../src/storage/point-header.ts'
import { jsonText, readSealedJson } from '../src/storage/sealed-json.ts'
import { readVaultHeader } from '../src/storage/vault-header.ts'
import { headerKey, manifestKey } from '../src/storage/vault-layout.ts'
import { exportRecoveryKey } from '../src/vault/export-recovery-key.ts'
import { findVaults } from '../src/vault/find.ts'
import { importVault } from '../src/vault/import/import-vault.ts'
import { importReportOf } from '../src/vault/import/request.ts'
import { rotateVaultKey } from '../src/vault/key/rotate.ts'
import type { Vault } from '../src/vault/vault.ts'
import type { Manifest } from '../src/worker/point/manifest.ts'
import { backedUp } from './kit/backed-up.ts'
import { writePointEnd } from './kit/point-end.ts'
import { actor, firstFailure, pathOf, runSql, type Service, startService, tryAgainNow } from './kit/protected-server.ts'
import { test } from './kit/test.ts'
import { waitFor } from './kit/wait-for.ts'

const now = () => new Date()

async function vaultOf({ database }: Service, { vaultId }: Pick<RecoveryPoint, 'vaultId'>): Promise<Vault> {
  const [vault] = await findVaults(database, [vaultId])
  if (!vault) throw new Error('The vault is gone.')
  return vault
}

/** Rotates the vault's key, and answers the recovery key that it has then. */
async function rotated(service: Service, vault: Vault): Promise<string> {
  const { database, secrets } = service
  const asked = { vaultId: vault.id, secrets, actor, now: now() }
  const { job } = await rotateVaultKey(database, { ...asked, dryRun: false })
  expect((await service.ended(job.id)).error).toBeNull()
  return (await exportRecoveryKey(database, asked)).recoveryKey
}

/** Makes the catalogue what a copy of before has in it: the vault with its keys of then, and the point. */
async function setBack({ database }: Service, { vault, point }: { vault: Vault; point: RecoveryPoint }): Promise<void> {
  const { recipient, sealedIdentity, recipientSince } = vault
  await database.delete(vaultKeys)
  await database.update(vaults).set({ recipient, sealedIdentity, recipientSince }).where(eq(vaults.id, vault.id))
  await database.update(recoveryPoints).set(point).where(eq(recoveryPoints.id, point.id))
}

async function startImport({ database, secrets }: Service, vault: Vault, recoveryKey: string, changes = {}) {
  const location = { kind: 'DIRECTORY' as const, path: pathOf(vault) }
  const how = { readBack: true, dryRun: false, secrets, actor, now: now() }
  return importVault(database, { name: vault.name, location, recoveryKey, ...how, ...changes })
}

async function adopt(service: Service, vault: Vault, recoveryKey: string, changes = {}) {
  return service.ended((await startImport(service, vault, recoveryKey, changes)).id)
}

async function restored(service: Service, point: RecoveryPoint, path: string) {
  const target = { kind: 'DIRECTORY' as const, path }
  const asked = { recoveryPointId: point.id, target, databases: ['shop'], actor, now: now() }
  return service.ended((await restoreAsFiles(service.database, asked)).id)
}

/** The artifact, as if other bytes of the same size were in it. */
function otherwise(artifact: Manifest['artifacts'][number]): Manifest['artifacts'][number] {
  return { ...artifact, digest: { ...artifact.digest, storedSha256: '0'.repeat(64) } }
}

async function rowOf({ database }: Service, { id }: Pick<RecoveryPoint, 'id'>) {
  const [row] = await database.select().from(recoveryPoints).where(eq(recoveryPoints.id, id))
  return row
}

describe('a catalogue that is older than rotations of a vault’s key', { timeout: 120_000 }, () => {
  test('takes over the present key and what is wrapped for it, however many rotations there were', async ({
    databaseUrl,
    folder,
    source,
  }) => {
    await runSql(source, 'postgres', 'drop database if exists shop', 'create database shop')
    await using service = await startService({ databaseUrl, folder })
    const { database } = service
    const point = await backedUp(service, source, folder)
    const first = await vaultOf(service, point)
    await rotated(service, first)
    const second = { vault: await vaultOf(service, point), point: (await rowOf(service, point)) ?? point }
    await rotated(service, first)
    const recoveryKey = await rotated(service, first)
    const last = await vaultOf(service, point)
    const after = await rowOf(service, point)
    for (const [turn, before] of [{ vault: first, point }, second].entries()) {
      await setBack(service, before)
      // Who looks before it is taken over finds the manifest another one than the catalogue has.
      expect((await restored(service, point, join(folder, `before ${turn}`))).error).not.toBeNull()
      expect(await rowOf(service, point)).toMatchObject({ state: 'SUSPECT' })
      expect((await adopt(service, first, recoveryKey, { dryRun: true })).error).toBeNull()
      expect(await vaultOf(service, point)).toMatchObject({ recipient: before.vault.recipient })
      expect(await adopt(service, first, recoveryKey)).toMatchObject({ status: 'COMPLETED', error: null })
      expect(await vaultOf(service, point)).toMatchObject({
        recipient: last.recipient,
        recoveryKeyExportedAt: expect.any(Date),
      })
      const { manifestSha256, manifestRecipient, recipient } = after ?? point
      const taken = { manifestSha256, manifestRecipient, recipient, state: 'AVAILABLE', damage: [], damageLevel: null }
      expect(await rowOf(service, point)).toMatchObject(taken)
      expect(await database.$count(vaultKeys, eq(vaultKeys.state, 'FORMER'))).toBe(3)
      expect(await restored(service, point, join(folder, `after ${turn}`))).toMatchObject({
        status: 'COMPLETED',
        error: null,
      })
    }
  })

  test('takes over a manifest whose rotation died right after it was replaced, and says so in its header', async ({
    databaseUrl,
    folder,
    source,
  }) => {
    await runSql(source, 'postgres', 'drop database if exists shop', 'create database shop')
    await using service = await startService({ databaseUrl, folder })
    const point = await backedUp(service, source, folder)
    const vault = await vaultOf(service, point)
    const storage = directoryStorage(pathOf(vault))
    const before = await readPointHeader(storage, point.prefix)
    const recoveryKey = await rotated(service, vault)
    const { manifestSha256 = '' } = (await rowOf(service, point)) ?? {}
    const manifest = { ...before.manifest, rewrappedSha256: manifestSha256 }
    const died = Buffer.from(jsonText({ ...before, manifest }))
    for (const [turn, recorded] of [point, { ...point, nextManifestSha256: manifestSha256 }].entries()) {
      await storage.replace(headerKey(point.prefix), died)
      await setBack(service, { vault, point: recorded })
      const adopted = await adopt(service, vault, recoveryKey)
      expect(adopted).toMatchObject({ status: 'COMPLETED', error: null })
      if (turn === 1) continue
      // Where both were known it is for the rotation to go on.
      expect(importReportOf(adopted)).toMatchObject({ alreadyKnown: 1, manifestsTakenOver: 1 })
      expect(await rowOf(service, point)).toMatchObject({
        state: 'AVAILABLE',
        manifestSha256,
        nextManifestSha256: null,
      })
      await checkPointHeader(storage, point.prefix, { storedSha256: manifestSha256 })
      expect(await restored(service, point, join(folder, 'files'))).toMatchObject({ status: 'COMPLETED', error: null })
    }
    expect(await rowOf(service, point)).toMatchObject({ manifestSha256: point.manifestSha256 })
  })

  test('takes over what is told in the report, also when the import was broken off right after that', async ({
    databaseUrl,
    folder,
    source,
  }) => {
    await using service = await startService({ databaseUrl, folder })
    const { database } = service
    const point = await backedUp(service, source, folder)
    const vault = await vaultOf(service, point)
    const recoveryKey = await rotated(service, vault)
    // Its bytes have to be read, for which the vault is away then.
    await setBack(service, { vault, point: { ...point, proof: 'WRITTEN' } })
    const away = join(folder, 'away')
    const job = await database.transaction(async (tx) => {
      await tx.execute('lock table vault_orphans in access exclusive mode')
      const begun = await startImport(service, vault, recoveryKey)
      await waitFor('the manifest to be taken over', async () => {
        return (await rowOf(service, point))?.manifestSha256 !== point.manifestSha256
      })
      await waitFor('the import to wait', async () => {
        const waiting = await database.execute(
          "select from pg_locks where not granted and relation = 'vault_orphans'::regclass",
        )
        return waiting.length > 0
      })
      await rename(pathOf(vault), away)
      await mkdir(pathOf(vault))
      return begun
    })
    expect((await firstFailure(database, job.id)).error).toMatchObject({ code: 'STORAGE_UNREACHABLE' })
    await rmdir(pathOf(vault))
    await rename(away, pathOf(vault))
    await tryAgainNow(database, job.id)
    const ended = await service.ended(job.id)
    expect(ended).toMatchObject({ status: 'COMPLETED', error: null })
    expect(importReportOf(ended)).toMatchObject({ alreadyKnown: 1, manifestsTakenOver: 1, pointsReadBack: 1 })
  })

  test('takes over no manifest that says something else, whoever sealed it for the present key', async ({
    databaseUrl,
    folder,
    source,
  }) => {
    await runSql(source, 'postgres', 'drop database if exists shop', 'create database shop')
    await using service = await startService({ databaseUrl, folder })
    const point = await backedUp(service, source, folder)
    const vault = await vaultOf(service, point)
    const recoveryKey = await rotated(service, vault)
    const storage = directoryStorage(pathOf(vault))
    const key = manifestKey(point.prefix)
    // Written by this service just now.
    const manifest = (await readSealedJson(storage, key, { identity: recoveryKey })) as Manifest
    const header = { recoveryPointId: point.id, instanceId: point.instanceId, vaultId: vault.id }
    await writePointEnd(storage, 'elsewhere/', {
      recipients: [(await vaultOf(service, point)).recipient, vault.recipient],
      manifest: { ...manifest, artifacts: manifest.artifacts.map(otherwise) },
      header,
      createdAt: point.createdAt,
    })
    for (const file of ['manifest.json.age', 'point.json']) {
      await writeFile(join(pathOf(vault), point.prefix, file), await readFile(join(pathOf(vault), 'elsewhere', file)))
    }
    await setBack(service, { vault, point })
    expect((await adopt(service, vault, recoveryKey)).error).toBeNull()
    expect((await rowOf(service, point))?.manifestSha256).toBe(point.manifestSha256)
    expect((await restored(service, point, join(folder, 'files'))).error).toMatchObject({ code: 'ARTIFACT_DAMAGED' })
  })

  test('cannot be rotated: what the present recovery key opens stays so, until that is taken over', async ({
    databaseUrl,
    folder,
    source,
  }) => {
    await using service = await startService({ databaseUrl, folder })
    const { database, secrets } = service
    const point = await backedUp(service, source, folder)
    const vault = await vaultOf(service, point)
    const recoveryKey = await rotated(service, vault)
    await setBack(service, { vault, point })
    const storage = directoryStorage(pathOf(vault))
    const rotate = () => rotateVaultKey(database, { vaultId: vault.id, secrets, actor, now: now(), dryRun: false })
    const { job } = await rotate()
    expect((await service.ended(job.id)).error).toMatchObject({
      code: 'WRONG_KEY',
      details: expect.stringContaining('Run importVault first'),
    })
    const header = await readVaultHeader(storage)
    if (!header) throw new Error('The vault is gone.')
    expect(await readKeyring(storage, header, recoveryKey)).toMatchObject({
      keys: [{ recipient: vault.recipient }],
      lost: [],
    })
    expect((await adopt(service, vault, recoveryKey)).error).toBeNull()
    // The one that failed is gone on with first, for the key that was taken over.
    expect((await service.ended((await rotate()).job.id)).error).toBeNull()
    expect((await service.ended((await rotate()).job.id)).error).toBeNull()
    expect((await vaultOf(service, point)).recipient).not.toBe(header.recipient)
  })

  test('keeps its key where another is given that is none of the vault', async ({ databaseUrl, folder, source }) => {
    await using service = await startService({ databaseUrl, folder })
    const point = await backedUp(service, source, folder)
    const vault = await vaultOf(service, point)
    expect((await adopt(service, vault, generateIdentity().identity)).error).toMatchObject({ code: 'WRONG_KEY' })
    expect(await vaultOf(service, point)).toEqual(vault)
    expect(await service.database.select().from(vaultKeys)).toEqual([])
  })
})
