import { mkdir, readdir, rename } from 'node:fs/promises'
import { join } from 'node:path'
import { eq } from 'drizzle-orm'
import { describe, expect } from 'vitest'
import type { Database } from '../src/database/connect.ts'
import { jobSubTasks } from '../src/database/tables/job.ts'
import { recoveryPoints } from '../src/database/tables/recovery-point.ts'
import { vaultKeys } from '../src/database/tables/vault-key.ts'
import { cancelJob, JobNotCancellable } from '../src/instance/cancel-job.ts'
import { findRecoveryPoints } from '../src/recovery-point/find.ts'
import { recipientOf } from '../src/secret/age-identity.ts'
import { openStorage } from '../src/storage/open.ts'
import { initialiseVault } from '../src/storage/vault-layout.ts'
import { createVault } from '../src/vault/create.ts'
import { exportRecoveryKey } from '../src/vault/export-recovery-key.ts'
import { findVaults } from '../src/vault/find.ts'
import { importVault } from '../src/vault/import/import-vault.ts'
import { rebuildCatalogue } from '../src/vault/import/rebuild-catalogue.ts'
import { importReportOf } from '../src/vault/import/request.ts'
import { findKeysOf } from '../src/vault/key/find.ts'
import { forgetUnusedKeys } from '../src/vault/key/record-rotation.ts'
import { KeyRotationRunning, rotateVaultKey } from '../src/vault/key/rotate.ts'
import type { Vault } from '../src/vault/vault.ts'
import { openPoint } from '../src/worker/point/read-point.ts'
import { drain } from '../src/worker/streams.ts'
import { freshDatabase } from './kit/fresh-database.ts'
import {
  actor,
  addVault,
  endOf,
  firstFailure,
  pathOf,
  type Service,
  startService,
  tryAgainNow,
} from './kit/protected-server.ts'
import { type S3Server, secretAccessKey, startS3Server } from './kit/s3-server.ts'
import { startServiceProcess } from './kit/service-process.ts'
import { test } from './kit/test.ts'
import { waitFor } from './kit/wait-for.ts'
import { writePoint } from './kit/written-vault.ts'

const now = () => new Date()
const [one, two] = [crypto.randomUUID(), crypto.randomUUID()]

/** A vault with points that the catalogue knows, without a server that they are of. */
async function withPoints(service: Service, vault: Vault, count = 2) {
  const storage = storageAt(vault)
  await initialiseVault(storage, { vaultId: vault.id, recipient: vault.recipient, now: now() })
  for (let number = 1; number <= count; number++) {
    await writePoint({ storage, vaultId: vault.id, recipient: vault.recipient }, { instanceId: one })
  }
  await known(service, vault)
  return storage
}

async function known(service: Service, vault: Vault): Promise<void> {
  const asked = { vaultId: vault.id, readBack: true, dryRun: false, actor, now: now() }
  const ended = await service.ended((await rebuildCatalogue(service.database, asked)).id)
  expect(ended).toMatchObject({ status: 'COMPLETED', error: null })
}

function storageAt({ location }: Vault) {
  return openStorage(location.kind === 'DIRECTORY' ? location : { ...location, secretAccessKey })
}

async function rotate({ database, secrets }: Pick<Service, 'database' | 'secrets'>, vault: Vault, dryRun = false) {
  return rotateVaultKey(database, { vaultId: vault.id, dryRun, secrets, actor, now: now() })
}

/** Moves all that lies in a folder into another one. */
async function moveAll(from: string, to: string): Promise<void> {
  await mkdir(to, { recursive: true })
  for (const name of await readdir(from)) await rename(join(from, name), join(to, name))
}

async function rotated(service: Service, vault: Vault) {
  const { job } = await rotate(service, vault)
  expect(await service.ended(job.id)).toMatchObject({ status: 'COMPLETED_WITH_WARNINGS', error: null })
  return present(service.database, vault)
}

async function present(database: Database, { id }: Vault): Promise<Vault> {
  const [vault] = await findVaults(database, [id])
  if (!vault) throw new Error('The vault is gone.')
  return vault
}

/** Opens every point with the keys that the catalogue holds, and reads all of it. */
async function readAll({ context }: Pick<Service, 'context'>, vault: Vault): Promise<number> {
  const points = await context.database.select().from(recoveryPoints)
  const { signal } = new AbortController()
  for (const point of points) {
    const { manifest, open } = await openPoint(context, { point, vault, signal })
    for (const artifact of manifest.artifacts) await drain(await open(artifact, signal, () => {}))
  }
  return points.length
}

describe('the rotation of a vault’s key', { timeout: 60_000 }, () => {
  test('seals what is new for the new key, lets it open all that is old, and has it exported anew', async ({
    databaseUrl,
    folder,
  }) => {
    await using service = await startService({ databaseUrl, folder })
    const { database, secrets } = service
    const vault = await addVault(service, folder)
    const storage = await withPoints(service, vault)
    const first = await exportRecoveryKey(database, { vaultId: vault.id, secrets, actor, now: now() })
    const before = await database.select().from(recoveryPoints).orderBy(recoveryPoints.id)
    const after = await rotated(service, vault)
    expect(after.recipient).not.toBe(vault.recipient)
    expect(after).toMatchObject({ recoveryKeyExportedAt: null, recipientSince: expect.any(Date) })
    const second = await exportRecoveryKey(database, { vaultId: vault.id, secrets, actor, now: now() })
    expect(recipientOf(second.recoveryKey)).toBe(after.recipient)
    await writePoint({ storage, vaultId: vault.id, recipient: after.recipient }, { instanceId: one })
    await known(service, vault)
    expect(await readAll(service, after)).toBe(3)
    const points = await database.select().from(recoveryPoints).orderBy(recoveryPoints.id)
    for (const point of before) {
      const rewrapped = points.find(({ id }) => id === point.id)
      expect(rewrapped).toMatchObject({
        recipient: vault.recipient,
        manifestRecipient: after.recipient,
        nextManifestSha256: null,
      })
      expect(rewrapped?.manifestSha256).not.toBe(point.manifestSha256)
    }
    expect((await findKeysOf(database, [after])).get(vault.id)).toMatchObject([
      { recipient: after.recipient, isCurrent: true, retiredAt: null, recoveryPointCount: 1 },
      { recipient: vault.recipient, isCurrent: false, retiredAt: expect.any(Date), recoveryPointCount: 2 },
    ])
    // The new recovery key alone makes a lost catalogue whole; with the former one that is so for what was sealed before.
    await using lost = await freshDatabase()
    await using heir = await startService({ databaseUrl: lost.url, folder })
    const given = {
      name: 'Found',
      location: { kind: 'DIRECTORY' as const, path: pathOf(vault) },
      readBack: true,
      dryRun: false,
    }
    const importBy = async (recoveryKey: string) => {
      const asked = { ...given, recoveryKey, secrets: heir.secrets, actor, now: now() }
      return heir.ended((await importVault(heir.database, asked)).id)
    }
    const byFormer = await importBy(first.recoveryKey)
    expect(byFormer.warnings[0]).toContain(`is a former one of the vault (${vault.recipient})`)
    expect(importReportOf(byFormer)).toMatchObject({ pointsImported: 2, pointsReadBack: 2, unreadableCount: 1 })
    expect(importReportOf(await importBy(second.recoveryKey))).toMatchObject({ pointsImported: 1, alreadyKnown: 2 })
    const keys = (await findKeysOf(heir.database, [await present(heir.database, vault)])).get(vault.id)
    expect(keys?.map(({ recoveryPointCount }) => recoveryPointCount)).toEqual([1, 2])
  })

  test('changes nothing in a dry run, and is refused while another one runs', async ({
    databaseUrl,
    database,
    folder,
  }) => {
    const { secrets, vault } = await (async () => {
      await using service = await startService({ databaseUrl, folder })
      const made = await addVault(service, folder)
      await withPoints(service, made)
      return { secrets: service.secrets, vault: made }
    })()
    expect(await rotate({ database, secrets }, vault, true)).toMatchObject({ isContinued: false, pointsToRewrap: 2 })
    expect(await database.select().from(vaultKeys)).toEqual([])
    const { job } = await rotate({ database, secrets }, vault)
    await expect(rotate({ database, secrets }, vault)).rejects.toBeInstanceOf(KeyRotationRunning)
    expect(await database.select().from(vaultKeys)).toHaveLength(1)
    await expect(cancelJob(database, { jobId: job.id, actor, now: now() })).rejects.toBeInstanceOf(JobNotCancellable)
  })

  test('that failed is gone on with by the next one, and no further key is made', async ({ databaseUrl, folder }) => {
    await using store = await startS3Server()
    await using service = await startService({ databaseUrl, folder })
    const vault = await bucketVault(service, store)
    await withPoints(service, vault)
    const denied = {
      kind: 'answer' as const,
      answer: { status: 403, body: '<Error><Code>AccessDenied</Code></Error>' },
    }
    // The keyring and the header are written, and then the store lets nothing be written any more.
    store.fail('PutObject', denied, { passing: 3, times: 1 })
    const { job } = await rotate(service, vault)
    expect(await service.ended(job.id)).toMatchObject({
      status: 'FAILED',
      error: { code: 'STORAGE_PERMISSION_DENIED' },
    })
    const between = await present(service.database, vault)
    expect(await readAll(service, between)).toBe(2)
    const next = await rotate(service, vault)
    expect(next.isContinued).toBe(true)
    expect((await service.ended(next.job.id)).error).toBeNull()
    const after = await present(service.database, vault)
    expect(after.recipient).toBe(between.recipient)
    expect(await service.database.select().from(vaultKeys)).toMatchObject([{ recipient: vault.recipient }])
    expect(await readAll(service, after)).toBe(2)
    const points = await service.database.select().from(recoveryPoints)
    for (const point of points) expect(point.manifestRecipient).toBe(after.recipient)
  })

  test('goes past a point that is damaged: that is suspect, and all others have the new key', async ({
    databaseUrl,
    folder,
  }) => {
    await using service = await startService({ databaseUrl, folder })
    const vault = await addVault(service, folder)
    const storage = await withPoints(service, vault, 3)
    const [damaged] = await service.database.select().from(recoveryPoints)
    await storage.replace(`${damaged?.prefix}manifest.json.age`, Buffer.from('nothing of it'))
    const after = await rotated(service, vault)
    const points = await service.database.select().from(recoveryPoints)
    expect(points.filter(({ state }) => state === 'SUSPECT').map(({ id }) => id)).toEqual([damaged?.id])
    expect(points.filter(({ manifestRecipient }) => manifestRecipient === after.recipient)).toHaveLength(2)
  })

  test('says nothing of any point while its disk is away, and goes on when that is back', async ({
    databaseUrl,
    folder,
  }) => {
    await using service = await startService({ databaseUrl, folder })
    const { database } = service
    const vault = await addVault(service, folder)
    await withPoints(service, vault, 3)
    const [path, away] = [pathOf(vault), join(folder, 'away')]
    const job = await database.transaction(async (tx) => {
      // The rotation waits where it announces its first manifest; the folder stays, as that of a disk that is not mounted.
      await tx.select().from(recoveryPoints).for('update')
      const begun = await rotate(service, vault)
      await waitFor('the manifests to be wrapped', async () => {
        const tasks = await database.select().from(jobSubTasks).where(eq(jobSubTasks.jobId, begun.job.id))
        return tasks.some(({ name }) => name.includes('every manifest'))
      })
      await moveAll(path, away)
      return begun.job
    })
    expect((await firstFailure(database, job.id)).error).toMatchObject({ code: 'STORAGE_UNREACHABLE' })
    await moveAll(away, path)
    await tryAgainNow(database, job.id)
    expect((await service.ended(job.id)).error).toBeNull()
    const points = await database.select().from(recoveryPoints)
    const { recipient } = await present(database, vault)
    expect(points.map(({ state, manifestRecipient }) => [state, manifestRecipient])).toEqual(
      points.map(() => ['AVAILABLE', recipient]),
    )
  })

  test('keeps a former key until nothing is sealed for it, and while anything is being written', async ({
    databaseUrl,
    folder,
  }) => {
    await using service = await startService({ databaseUrl, folder })
    const { database } = service
    const vault = await addVault(service, folder)
    await withPoints(service, vault, 1)
    await rotated(service, vault)
    await forgetUnusedKeys(database, vault.id)
    expect(await database.select().from(vaultKeys)).toHaveLength(1)
    await database.delete(recoveryPoints)
    await forgetUnusedKeys(database, two)
    expect(await database.select().from(vaultKeys)).toHaveLength(1)
    await forgetUnusedKeys(database, vault.id)
    expect(await database.select().from(vaultKeys)).toEqual([])
  })
})

describe('a worker that is killed in the middle of a rotation', { timeout: 240_000 }, () => {
  test('at any of its writes leaves points that open, and another worker brings the new key to all of them', async ({
    databaseUrl,
    database,
    folder,
  }) => {
    await using store = await startS3Server()
    const { vault, service } = await (async () => {
      await using started = await startService({ databaseUrl, folder })
      const made = await bucketVault(started, store)
      await withPoints(started, made, 1)
      return { vault: made, service: { database, secrets: started.secrets, context: { ...started.context, database } } }
    })()
    const keyFile = `${folder}/secret.key`
    // The so many-th rotation writes as many former keys, the vault's header, its text, and three objects of the point.
    const steps = ['a former key', 'the header', 'the text', 'the announcement', 'the manifest', 'the point’s header']
    for (const [index, step] of steps.entries()) {
      const before = await present(database, vault)
      await using doomed = await startServiceProcess({ databaseUrl, folder, keyFile })
      const asked = store.asked.length
      store.fail('PutObject', { kind: 'stalled' }, { passing: 2 * index })
      const { job } = await rotate(service, vault)
      const writes = () => store.asked.slice(asked).filter((operation) => operation === 'PutObject').length
      await waitFor(`a rotation that waits while it writes ${step}`, () => writes() > 2 * index, { withinMs: 20_000 })
      await doomed.kill()
      expect(await readAll(service, await present(database, vault)), step).toBe(1)
      expect(await readAll(service, before), step).toBe(1)
      await using _heir = await startServiceProcess({ databaseUrl, folder, keyFile })
      expect(await endOf(database, job.id), step).toMatchObject({
        status: 'COMPLETED_WITH_WARNINGS',
        attempt: 2,
        error: null,
      })
      const after = await present(database, vault)
      expect(after.recipient, step).not.toBe(before.recipient)
      expect(await readAll(service, after), step).toBe(1)
      const [point] = await findRecoveryPoints(
        database,
        (await database.select().from(recoveryPoints)).map(({ id }) => id),
      )
      expect(point, step).toMatchObject({
        state: 'AVAILABLE',
        manifestRecipient: after.recipient,
        nextManifestSha256: null,
      })
    }
    // After six rotations, the last key alone opens what was sealed for the first.
    const { recoveryKey } = await exportRecoveryKey(database, {
      vaultId: vault.id,
      secrets: service.secrets,
      actor,
      now: now(),
    })
    await using lost = await freshDatabase()
    await using heir = await startService({ databaseUrl: lost.url, folder })
    const location = { ...store.location({ prefix: 'holdfast/main/' }), secretAccessKey }
    const asked = {
      name: 'Found',
      location,
      recoveryKey,
      readBack: true,
      dryRun: false,
      secrets: heir.secrets,
      actor,
      now: now(),
    }
    const ended = await heir.ended((await importVault(heir.database, asked)).id)
    expect(importReportOf(ended)).toMatchObject({ pointsImported: 1, pointsReadBack: 1 })
    expect(ended).toMatchObject({ status: 'COMPLETED', warnings: [] })
    expect(await readAll(heir, await present(heir.database, vault))).toBe(1)
  })
})

async function bucketVault({ database, secrets }: Service, store: S3Server): Promise<Vault> {
  return createVault(database, {
    name: 'cloud',
    location: { ...store.location({ prefix: 'holdfast/main/' }), secretAccessKey },
    secrets,
    actor,
    now: now(),
  })
}
