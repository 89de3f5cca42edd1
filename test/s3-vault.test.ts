import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { eq } from 'drizzle-orm'
import postgres from 'postgres'
import { describe, expect } from 'vitest'
import { recoveryPoints } from '../src/database/tables/recovery-point.ts'
import { backUpNow } from '../src/instance/back-up-now.ts'
import { deleteBackupInstance } from '../src/instance/delete-backup-instance.ts'
import { enqueueExpiry } from '../src/instance/expiry/enqueue-expiry.ts'
import { findInstances } from '../src/instance/find.ts'
import { startDuePurges } from '../src/instance/purge/start-due-purges.ts'
import { retryConfigureProtection } from '../src/instance/retry-configure-protection.ts'
import { requestCancel } from '../src/job/cancel.ts'
import { findRecoveryPoints } from '../src/recovery-point/find.ts'
import type { RecoveryPoint } from '../src/recovery-point/recovery-point.ts'
import { verifyRecoveryPoint } from '../src/recovery-point/verify.ts'
import { restoreAsFiles } from '../src/restore/as-files.ts'
import { restoreToServer } from '../src/restore/to-server.ts'
import { findVaults } from '../src/vault/find.ts'
import { updateVaultCredentials } from '../src/vault/update-credentials.ts'
import { bucketPrefix, type InBucket, keysBelow, protectInBucket } from './kit/bucket.ts'
import { everyRow } from './kit/every-row.ts'
import { findRecoveryPointsOf } from './kit/points.ts'
import {
  actor,
  firstFailure,
  register,
  runSql,
  type Service,
  startService,
  tryAgainNow,
} from './kit/protected-server.ts'
import { secretAccessKey, startS3Server } from './kit/s3-server.ts'
import { failed } from './kit/s3-store.ts'
import { sourceServer } from './kit/source-server.ts'
import { test } from './kit/test.ts'

const now = () => new Date()
const asked = () => ({ actor, now: now() })
async function backedUp(service: Service, { instance }: InBucket): Promise<RecoveryPoint> {
  const job = await backUpNow(service.database, { instanceId: instance.id, ...asked() })
  expect(await service.ended(job.id)).toMatchObject({ status: 'COMPLETED', error: null, attempt: 1 })
  const points = await findRecoveryPointsOf(service.database, instance.id)
  const point = points.find(({ jobId }) => jobId === job.id)
  if (!point) throw new Error('The backup made no recovery point.')
  return point
}

describe('a vault in a bucket', () => {
  test('takes backups, proves them, gives them back and lets them go, and no secret is found anywhere', {
    timeout: 90_000,
  }, async ({ databaseUrl, folder }) => {
    await using store = await startS3Server()
    await using source = await sourceServer()
    await using target = await sourceServer()
    await using service = await startService({ databaseUrl, folder })
    const { database } = service
    await runSql(source, 'postgres', 'create database shop')
    await runSql(
      source,
      'shop',
      "create table orders as select i, 'a plain text' || encode(sha512((random()::text || i)::bytea), 'hex') as text from generate_series(1, 200000) i",
    )

    const made = await protectInBucket(service, store, source)
    expect(made.configuration).toMatchObject({ status: 'COMPLETED', error: null })
    const [vault] = await findVaults(database, [made.vault.id])
    expect(vault?.capabilities).toEqual({ conditionalCreate: true, largestObjectBytes: 504_000 * 1024 * 1024 })
    expect(keysBelow(store, '').toSorted()).toEqual([`${bucketPrefix}RESTORE.md`, `${bucketPrefix}holdfast-vault.json`])

    const first = await backedUp(service, made)
    expect(first).toMatchObject({ proof: 'READ_BACK', state: 'AVAILABLE' })
    const stored = [...store.store.objects].filter(([key]) => key.startsWith(bucketPrefix + first.prefix))
    expect(stored.map(([key]) => key.slice(bucketPrefix.length + first.prefix.length)).toSorted()).toEqual(
      expect.arrayContaining(['globals.sql.zst.age', 'manifest.json.age', 'point.json']),
    )
    for (const [, { bytes }] of stored) expect(bytes.includes('a plain text')).toBe(false)
    // One archive is larger than a part.
    expect(store.asked).toContain('CompleteMultipartUpload')

    const verification = await verifyRecoveryPoint(database, { recoveryPointId: first.id, ...asked() })
    expect(await service.ended(verification.id)).toMatchObject({ status: 'COMPLETED', error: null })
    expect((await findRecoveryPoints(database, [first.id]))[0]?.proof).toBe('DECODED')

    const directory = join(folder, 'restored')
    const files = await restoreAsFiles(database, {
      recoveryPointId: first.id,
      target: { kind: 'DIRECTORY', path: directory },
      databases: null,
      ...asked(),
    })
    expect(await service.ended(files.id)).toMatchObject({ status: 'COMPLETED', error: null })
    expect(await readdir(directory)).toEqual(expect.arrayContaining(['RESTORE.md', 'globals.sql', 'manifest.json']))

    const { id: serverId } = await register(service, target)
    const into = await restoreToServer(database, {
      recoveryPointId: first.id,
      serverId,
      databases: [{ name: 'shop', targetName: 'shop_again' }],
      ownership: { kind: 'KEEP' },
      ...asked(),
    })
    expect(await service.ended(into.id)).toMatchObject({ status: 'COMPLETED', error: null })
    const sql = postgres(target.url('shop_again'), { max: 1 })
    expect(await sql`select count(*)::int as count from orders`).toMatchObject([{ count: 200_000 }])
    await sql.end()

    const second = await backedUp(service, made)
    await verifyAgain(service, second)
    await database
      .update(recoveryPoints)
      .set({ expiresAt: new Date(0) })
      .where(eq(recoveryPoints.id, first.id))
    const expiry = await database.transaction((tx) =>
      enqueueExpiry(tx, { instance: made.instance, trigger: 'SYSTEM', ...asked() }),
    )
    expect(await service.ended(expiry.id)).toMatchObject({ status: 'COMPLETED', error: null })
    expect(keysBelow(store, first.prefix)).toEqual([])
    expect(keysBelow(store, second.prefix).length).toBeGreaterThan(3)

    // What a killed worker of some attempt has left.
    const lost = {
      key: `${bucketPrefix}${second.prefix.replace(/\.1\/$/, '.2/')}0001.dump.age`,
      metadata: {},
      parts: new Map(),
    }
    store.store.uploads.set(crypto.randomUUID(), lost)
    await deleteBackupInstance(database, {
      instanceId: made.instance.id,
      confirmName: 'shop',
      reason: null,
      comment: null,
      dryRun: false,
      ...asked(),
    })
    await startDuePurges(database, { now: now(), atMost: 10 })
    await expect.poll(() => findInstances(database, [made.instance.id]), { timeout: 20_000 }).toEqual([])
    expect(store.everything().toSorted()).toEqual([`${bucketPrefix}RESTORE.md`, `${bucketPrefix}holdfast-vault.json`])

    const objects = [...store.store.objects.values()].map(({ bytes }) => bytes.toString('latin1')).join('\n')
    for (const text of [service.logged(), await everyRow(database), objects]) {
      expect(text.length).toBeGreaterThan(100)
      expect(text.includes(secretAccessKey)).toBe(false)
      expect(text.includes(secretAccessKey.slice(0, 12))).toBe(false)
    }
  })

  test('says that the access key is wrong, and is used once it is set right', async ({
    databaseUrl,
    folder,
    source,
  }) => {
    await using store = await startS3Server()
    await using service = await startService({ databaseUrl, folder })
    const { database, secrets } = service
    const { vault, instance, configuration } = await protectInBucket(service, store, source, 'not-the-secret')
    expect(configuration).toMatchObject({
      status: 'FAILED',
      error: { code: 'STORAGE_PERMISSION_DENIED', isUserError: true, isRetryable: false },
    })
    expect(configuration.error?.recommendedActions.join()).toContain('updateVaultCredentials')
    expect(JSON.stringify(configuration.error)).not.toContain('not-the-secret')
    expect(store.everything()).toEqual([])
    const accessKey = { accessKeyId: 'AKIDHOLDFAST', secretAccessKey }
    await updateVaultCredentials(database, { vaultId: vault.id, ...accessKey, secrets, ...asked() })
    const { job } = await retryConfigureProtection(database, { instanceId: instance.id, ...asked() })
    expect(await service.ended(job.id)).toMatchObject({ status: 'COMPLETED', error: null })
  })

  test('keeps nothing of a backup that its store fails, or that is cancelled, and takes the next one', async ({
    databaseUrl,
    folder,
    source,
  }) => {
    await using store = await startS3Server()
    await using service = await startService({ databaseUrl, folder })
    const { database } = service
    const made = await protectInBucket(service, store, source)
    const { instance } = made
    const full = failed(507, 'InsufficientStorage')
    store.fail('PutObject', { kind: 'answer', answer: full })
    const job = await backUpNow(database, { instanceId: instance.id, ...asked() })
    expect((await firstFailure(database, job.id)).error).toMatchObject({ code: 'STORAGE_FULL', isUserError: true })
    expect(keysBelow(store, 'points/')).toEqual([])
    await tryAgainNow(database, job.id)
    expect(await service.ended(job.id)).toMatchObject({ status: 'COMPLETED', attempt: 2 })
    const kept = keysBelow(store, 'points/')

    const before = store.asked.length
    store.fail('PutObject', { kind: 'stalled' })
    const cancelled = await backUpNow(database, { instanceId: instance.id, ...asked() })
    await expect.poll(() => store.asked.slice(before).includes('PutObject'), { timeout: 10_000 }).toBe(true)
    await requestCancel(database, { jobId: cancelled.id, ...asked() })
    expect(await service.ended(cancelled.id)).toMatchObject({ status: 'CANCELLED' })
    expect(keysBelow(store, 'points/')).toEqual(kept)
    expect(await findRecoveryPointsOf(database, instance.id)).toHaveLength(1)
  })
})

async function verifyAgain({ database, ended }: Service, point: RecoveryPoint): Promise<void> {
  const job = await verifyRecoveryPoint(database, { recoveryPointId: point.id, ...asked() })
  expect(await ended(job.id)).toMatchObject({ status: 'COMPLETED', error: null })
}
