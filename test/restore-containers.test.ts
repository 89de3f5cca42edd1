import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { eq } from 'drizzle-orm'
import { describe, expect } from 'vitest'
import type { Database } from '../src/database/connect.ts'
import { jobs } from '../src/database/tables/job.ts'
import type { JobRow } from '../src/job/states.ts'
import { restoreAsFiles } from '../src/restore/as-files.ts'
import { restoreReportOf } from '../src/restore/restore.ts'
import { deleteStorageAccount } from '../src/storage-account/delete.ts'
import { deleteStorageContainer } from '../src/storage-account/delete-container.ts'
import { findStorageAccounts } from '../src/storage-account/find.ts'
import { ForbiddenByNetworkRules } from '../src/storage-account/network-rules.ts'
import {
  LocationTakenByStorageAccount,
  StorageBeingRestoredInto,
  type StorageContainer,
} from '../src/storage-account/storage-account.ts'
import { updateStorageAccountNetworking } from '../src/storage-account/update-networking.ts'
import type { NewLocation } from '../src/vault/location.ts'
import { LocationTaken } from '../src/vault/vault.ts'
import { actor, firstFailure, runSql, startService, tryAgainNow } from './kit/protected-server.ts'
import { addAccount, backedUp, bucketOf } from './kit/restored-files.ts'
import { type S3Server, startS3Server } from './kit/s3-server.ts'
import { test } from './kit/test.ts'

const asked = () => ({ actor, now: new Date() })

function start(
  database: Database,
  recoveryPointId: string,
  container: StorageContainer,
  folder = 'shop/today',
): Promise<JobRow> {
  const target = { kind: 'CONTAINER', containerId: container.id, folder } as const
  return restoreAsFiles(database, { recoveryPointId, target, databases: null, ...asked() })
}

/** A place for an account, and what lies in its container. */
interface Place {
  location: NewLocation
  files: () => Promise<string[]>
  putOther: (name: string) => Promise<void>
}

const places: [string, (root: string, store: S3Server) => Place][] = [
  [
    'a directory',
    (root) => ({
      location: { kind: 'DIRECTORY', path: join(root, 'exports') },
      files: async () => {
        const all = await readdir(join(root, 'exports', 'restored'), { recursive: true, withFileTypes: true })
        return all
          .filter((entry) => entry.isFile())
          .map(({ parentPath, name }) => join(parentPath, name).slice(`${root}/exports/restored/`.length))
          .toSorted()
      },
      putOther: async (name) => {
        await mkdir(join(root, 'exports', 'restored', 'taken'), { recursive: true })
        await writeFile(join(root, 'exports', 'restored', 'taken', name), 'mine')
      },
    }),
  ],
  [
    'a bucket',
    (_root, store) => ({
      location: bucketOf(store),
      files: async () =>
        store
          .everything()
          .map((key) => key.slice('exports/restored/'.length))
          .toSorted(),
      putOther: async (name) =>
        void store.store.objects.set(`exports/restored/taken/${name}`, {
          bytes: Buffer.from('mine'),
          sizeBytes: 4,
          etag: '"x"',
          metadata: {},
        }),
    }),
  ],
]

describe.for(places)('restoring into a container in %s', ([kind, placeOf]) => {
  test('writes the whole set, tells what its storage can do, and never writes over anything', {
    timeout: 90_000,
  }, async ({ databaseUrl, folder, source }) => {
    await using store = await startS3Server()
    await using service = await startService({ databaseUrl, folder })
    const { database } = service
    const { point } = await backedUp(service, source, folder)
    const place = placeOf(folder, store)
    const { account, container } = await addAccount(service, place.location)
    const ended = await service.ended((await start(database, point.id, container)).id)
    expect(ended).toMatchObject({ status: 'COMPLETED', error: null })
    expect(ended.bytesDone).toBe(ended.bytesTotal)
    const names = ['0001-postgres.dump', 'RESTORE.md', 'globals.sql', 'manifest.json'].map(
      (name) => `shop/today/${name}`,
    )
    expect(await place.files()).toEqual(names)
    const report = restoreReportOf(ended)
    expect(report?.files.map(({ name }) => `shop/today/${name}`).toSorted()).toEqual(names)
    expect(report?.destination).toContain(account.name)
    const [seen] = await findStorageAccounts(database, [account.id])
    expect(seen?.capabilities).toMatchObject({ conditionalCreate: true })
    if (kind === 'a bucket') expect(seen?.capabilities?.largestObjectBytes).toBeGreaterThan(0)

    const again = await service.ended((await start(database, point.id, container)).id)
    expect(again).toMatchObject({ status: 'FAILED', error: { code: 'TARGET_NOT_EMPTY', isUserError: true } })
    await place.putOther('manifest.json')
    const taken = await service.ended((await start(database, point.id, container, 'taken')).id)
    expect(taken).toMatchObject({ status: 'FAILED', error: { code: 'TARGET_NOT_EMPTY' } })
    expect(await place.files()).toEqual([...names, 'taken/manifest.json'])
    // What is deleted is the registration alone.
    const deletion = { dryRun: false, ...asked() }
    await deleteStorageContainer(database, { containerId: container.id, confirmName: 'restored', ...deletion })
    await deleteStorageAccount(database, { storageAccountId: account.id, confirmName: account.name, ...deletion })
    expect(await place.files()).toEqual([...names, 'taken/manifest.json'])
  })
})

describe('the network rules of a storage account', () => {
  test('are asked when a restore is asked for, and again when it starts', { timeout: 60_000 }, async ({
    databaseUrl,
    database,
    folder,
    source,
  }) => {
    const { point, vault, container, account } = await madeReady()
    const target = { kind: 'CONTAINER', containerId: container.id, folder: 'today' } as const
    const refused = restoreAsFiles(database, { recoveryPointId: point.id, target, databases: null, ...asked() })
    await expect(refused).rejects.toBeInstanceOf(ForbiddenByNetworkRules)
    const { violations } = (await refused.catch((cause: unknown) => cause)) as ForbiddenByNetworkRules
    const change = (changes: Parameters<typeof updateStorageAccountNetworking>[1]['changes']) =>
      updateStorageAccountNetworking(database, {
        storageAccountId: account.id,
        changes,
        reason: null,
        dryRun: false,
        ...asked(),
      })
    await change(Object.assign({}, ...violations.map(({ cure }) => cure)))
    const job = await start(database, point.id, container, 'today')
    await expect(
      deleteStorageContainer(database, {
        containerId: container.id,
        confirmName: 'restored',
        dryRun: false,
        ...asked(),
      }),
    ).rejects.toBeInstanceOf(StorageBeingRestoredInto)
    await expect(
      deleteStorageAccount(database, {
        storageAccountId: account.id,
        confirmName: account.name,
        dryRun: false,
        ...asked(),
      }),
    ).rejects.toMatchObject({ runningJobId: job.id })
    await change({ allowTrustedServices: false })
    await using service = await startService({ databaseUrl, folder })
    const ended = await service.ended(job.id)
    expect(ended).toMatchObject({
      status: 'FAILED',
      attempt: 1,
      error: { code: 'NETWORK_RULE_FORBIDS', isUserError: true },
    })
    expect(ended.error?.details).toContain('allowTrustedServices')
    expect(ended.error?.recommendedActions.join()).toContain('updateStorageAccountNetworking')
    expect(await readdir(folder)).not.toContain('exports')
    expect(vault.name).toBeTruthy()

    /** No worker runs afterwards. */
    async function madeReady() {
      await using service = await startService({ databaseUrl, folder })
      const made = await backedUp(service, source, folder)
      const location = { kind: 'DIRECTORY', path: join(folder, 'exports') } as const
      return { ...made, ...(await addAccount(service, location, { publicNetworkAccess: 'DISABLED' })) }
    }
  })

  test('are not got round by naming the directory itself', async ({ databaseUrl, folder, source }) => {
    await using service = await startService({ databaseUrl, folder })
    const { point, vaultPath } = await backedUp(service, source, folder)
    await addAccount(service, { kind: 'DIRECTORY', path: join(folder, 'exports') }, { publicNetworkAccess: 'DISABLED' })
    const into = (path: string) =>
      restoreAsFiles(service.database, {
        recoveryPointId: point.id,
        target: { kind: 'DIRECTORY', path },
        databases: null,
        ...asked(),
      })
    await expect(into(join(folder, 'exports', 'today'))).rejects.toBeInstanceOf(LocationTakenByStorageAccount)
    await expect(into(join(vaultPath, 'today'))).rejects.toBeInstanceOf(LocationTaken)
  })
})

test('restores that fail half way leave nothing in a bucket, and what its store fails with is no damage of the point', {
  timeout: 60_000,
}, async ({ databaseUrl, folder, source }) => {
  await using store = await startS3Server()
  await runSql(source, 'postgres', 'create table if not exists orders as select generate_series(1, 1000) as id')
  await using service = await startService({ databaseUrl, folder })
  const { database } = service
  const { point } = await backedUp(service, source, folder)
  const { container } = await addAccount(service, bucketOf(store))
  // The probe writes three times, then come archive, roles and instructions; the manifest is denied.
  const denied = { status: 403, body: '<Error><Code>AccessDenied</Code></Error>' }
  store.fail('PutObject', { kind: 'answer', answer: denied }, { passing: 6, times: 100 })
  const ended = await service.ended((await start(database, point.id, container)).id)
  expect(ended).toMatchObject({ status: 'FAILED', error: { code: 'STORAGE_PERMISSION_DENIED' } })
  expect(store.everything()).toEqual([])
  await using healthy = await startS3Server({ bucket: 'backups' })
  const other = await addAccount(service, bucketOf(healthy))
  expect(await service.ended((await start(database, point.id, other.container)).id)).toMatchObject({
    status: 'COMPLETED',
  })
  const manifest = healthy.store.objects.get('exports/restored/shop/today/manifest.json')?.bytes.toString() ?? ''
  const listed: { file: string; sizeBytes: number; sha256: string }[] = JSON.parse(manifest).files
  for (const { file, sizeBytes } of listed) {
    expect(healthy.store.objects.get(`exports/restored/shop/today/${file}`)?.sizeBytes, file).toBe(sizeBytes)
  }
})

test('a rule that is changed between two attempts of a restore is asked at the second', {
  timeout: 60_000,
}, async ({ databaseUrl, folder, source }) => {
  await using store = await startS3Server()
  await using service = await startService({ databaseUrl, folder })
  const { database } = service
  const { point } = await backedUp(service, source, folder)
  const { account, container } = await addAccount(service, bucketOf(store))
  // The probe writes three times; then the store is busy.
  const busy = { status: 503, body: '<Error><Code>SlowDown</Code></Error>' }
  store.fail('PutObject', { kind: 'answer', answer: busy }, { passing: 3, times: 1000 })
  const job = await start(database, point.id, container)
  expect((await firstFailure(database, job.id)).error).toMatchObject({ code: 'STORAGE_UNREACHABLE', isRetryable: true })
  await updateStorageAccountNetworking(database, {
    storageAccountId: account.id,
    changes: { publicNetworkAccess: 'DISABLED' },
    reason: null,
    dryRun: false,
    ...asked(),
  })
  const writes = () => store.asked.filter((operation) => /^(Put|Create|UploadPart)/.test(operation)).length
  const before = writes()
  await tryAgainNow(database, job.id)
  expect(await service.ended(job.id)).toMatchObject({
    status: 'FAILED',
    attempt: 2,
    error: { code: 'NETWORK_RULE_FORBIDS', details: expect.stringContaining(account.name) },
  })
  expect(writes()).toBe(before)
  expect(store.everything()).toEqual([])
})

test('what version 0.2 was asked to restore is restored by this one', async ({ databaseUrl, folder, source }) => {
  await using service = await startService({ databaseUrl, folder })
  const { point } = await backedUp(service, source, folder)
  const directory = join(folder, 'restored by 0.2')
  const target = { kind: 'DIRECTORY', path: directory } as const
  const job = await service.database.transaction(async (tx) => {
    const made = await restoreAsFiles(tx, { recoveryPointId: point.id, target, databases: null, ...asked() })
    const input = { kind: 'FILES', directory, databases: ['postgres'] }
    await tx.update(jobs).set({ input }).where(eq(jobs.id, made.id))
    return made
  })
  expect(await service.ended(job.id)).toMatchObject({ status: 'COMPLETED', error: null })
  expect(JSON.parse(await readFile(join(directory, 'manifest.json'), 'utf8'))).toMatchObject({
    restore: { job: job.id, format: 'CUSTOM' },
  })
})
