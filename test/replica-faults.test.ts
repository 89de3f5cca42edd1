import { execFile } from 'node:child_process'
import { mkdir, open, readdir, readFile, rename, rm, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { eq } from 'drizzle-orm'
import { describe, expect } from 'vitest'
import { notifications } from '../src/database/tables/notification.ts'
import { recoveryPoints } from '../src/database/tables/recovery-point.ts'
import { startMissingCopies } from '../src/recovery-point/copy/start-missing-copies.ts'
import { findRecoveryPoints } from '../src/recovery-point/find.ts'
import { restoreAsFiles } from '../src/restore/as-files.ts'
import { RecoveryPointSuspect } from '../src/restore/refuse.ts'
import { refusalOf } from './kit/lifecycle.ts'
import {
  actor,
  firstFailure,
  protect,
  runSql,
  type Service,
  startService,
  tryAgainNow,
} from './kit/protected-server.ts'
import { addReplicaVault, backUp, copied, copiesOf, copyJobsOf, nameReplica, protectTwice } from './kit/replica.ts'
import { test } from './kit/test.ts'
import { waitFor } from './kit/wait-for.ts'

const run = promisify(execFile)
const atMost = 10

/** Every file below the vault's points, committed or not. */
async function filesOfPoints(vaultPath: string): Promise<string[]> {
  const entries = await readdir(join(vaultPath, 'points'), { recursive: true, withFileTypes: true }).catch(() => [])
  return entries.filter((entry) => entry.isFile()).map((entry) => entry.name)
}

async function flipBit(path: string): Promise<void> {
  await using file = await open(path, 'r+')
  const { size } = await file.stat()
  const byte = Buffer.alloc(1)
  await file.read(byte, 0, 1, size >> 1)
  byte.writeUInt8((byte[0] ?? 0) ^ 1)
  await file.write(byte, 0, 1, size >> 1)
}

async function swap(one: string, other: string): Promise<void> {
  const [first, second] = [await readFile(one), await readFile(other)]
  await writeFile(one, second)
  await writeFile(other, first)
}

/** The first copy job of a point whose attempt failed, with what it said. */
async function failedCopy({ database }: Service, pointId: string) {
  const job = await waitFor('a job that copies', async () => (await copyJobsOf(database, pointId))[0])
  return firstFailure(database, job.id)
}

describe('an original that is damaged', { timeout: 90_000 }, () => {
  test.for<[string, (folder: string) => Promise<void>, RegExp]>([
    ['by a flipped bit', (folder) => flipBit(join(folder, '0001.dump.zst.age')), /0001\.dump\.zst\.age/],
    ['by a cut', (folder) => truncate(join(folder, '0001.dump.zst.age'), 100), /0001\.dump\.zst\.age/],
    ['by the loss of a file', (folder) => rm(join(folder, 'globals.sql.zst.age')), /globals\.sql\.zst\.age/],
    [
      'by two files that were swapped',
      (folder) => swap(join(folder, '0001.dump.zst.age'), join(folder, 'globals.sql.zst.age')),
      /0001\.dump\.zst\.age/,
    ],
    ['in its manifest', (folder) => flipBit(join(folder, 'manifest.json.age')), /manifest\.json\.age/],
  ])(
    '%s is suspect, and nothing of it is recorded or left in the replica',
    async ([, damage, name], { databaseUrl, folder, source }) => {
      await using service = await startService({ databaseUrl, folder })
      const { database } = service
      const { instance, vault, vaultPath } = await protect(service, source, folder)
      const original = await backUp(service, instance.id)
      await damage(join(vaultPath, original.prefix))
      const replica = await addReplicaVault(service, folder)
      await nameReplica(database, { vaultId: vault.id, replicaId: replica.id })
      await startMissingCopies(database, { now: new Date(), atMost })
      const job = await copied(database, original.id)
      expect(job).toMatchObject({ status: 'FAILED', attempt: 1, error: { code: 'ARTIFACT_DAMAGED' } })
      expect(job.error?.details).toMatch(name)
      const [suspect] = await findRecoveryPoints(database, [original.id])
      expect(suspect).toMatchObject({ state: 'SUSPECT', damage: [expect.stringMatching(name)] })
      expect(await copiesOf(database, instance.id)).toEqual([])
      expect(await filesOfPoints(join(folder, 'elsewhere'))).toEqual([])
      const told = await database.select().from(notifications).where(eq(notifications.kind, 'COPY_FAILED'))
      expect(told).toHaveLength(1)
      expect(await startMissingCopies(database, { now: new Date(Date.now() + 10 * 86_400_000), atMost })).toBe(0)
    },
  )

  test('names its copy to whoever would restore it', async ({ databaseUrl, folder, source }) => {
    await using service = await startService({ databaseUrl, folder })
    const { database } = service
    const { instance } = await protectTwice(service, source, folder)
    const original = await backUp(service, instance.id)
    await copied(database, original.id)
    const [copy] = await copiesOf(database, instance.id)
    const restoreOf = (recoveryPointId: string) =>
      restoreAsFiles(database, {
        recoveryPointId,
        target: { kind: 'DIRECTORY', path: join(folder, 'restored') },
        databases: null,
        actor,
        now: new Date(),
      })
    const suspect = { state: 'SUSPECT' as const, damage: ['A file is damaged.'] }
    await database.update(recoveryPoints).set(suspect).where(eq(recoveryPoints.id, original.id))
    const refusal = await refusalOf(restoreOf(original.id))
    expect(refusal).toBeInstanceOf(RecoveryPointSuspect)
    expect(refusal).toMatchObject({ twinId: copy?.id })
    await database.update(recoveryPoints).set(suspect)
    expect(await refusalOf(restoreOf(original.id))).toMatchObject({ twinId: null })
  })
})

describe('a replica that cannot take a copy', { timeout: 90_000 }, () => {
  test.runIf(process.getuid?.() === 0)(
    'because it is full: nothing is left of it, and the copy is made when there is room',
    async ({ databaseUrl, folder, source }) => {
      const disk = join(folder, 'disk')
      await mkdir(disk)
      await run('mount', ['-t', 'tmpfs', '-o', 'size=400k', 'tmpfs', disk])
      await using _mounted = { [Symbol.asyncDispose]: async () => void (await run('umount', ['-l', disk])) }
      await using service = await startService({ databaseUrl, folder })
      const { database } = service
      await runSql(
        source,
        'postgres',
        'drop table if exists noise',
        `create table noise as select encode(sha512((random()::text || i)::bytea), 'hex') as text from generate_series(1, 20000) i`,
      )
      const { instance, replicaPath } = await protectTwice(service, source, folder, { replicaFolder: disk })
      const original = await backUp(service, instance.id)
      const failed = await failedCopy(service, original.id)
      expect(failed.error).toMatchObject({ code: 'STORAGE_FULL', isUserError: true })
      expect(await filesOfPoints(replicaPath)).toEqual([])
      expect(await findRecoveryPoints(database, [original.id])).toMatchObject([{ state: 'AVAILABLE' }])
      await run('mount', ['-o', 'remount,size=20m', disk])
      await tryAgainNow(database, failed.id)
      expect(await service.ended(failed.id)).toMatchObject({ status: 'COMPLETED', attempt: 2, error: null })
      expect(await copiesOf(database, instance.id)).toHaveLength(1)
    },
  )

  test('because its disk is gone: no new place is made, and the clock tries again when it is time', async ({
    databaseUrl,
    folder,
    source,
  }) => {
    await using service = await startService({ databaseUrl, folder })
    const { database } = service
    const { instance, replicaPath } = await protectTwice(service, source, folder)
    await copied(database, (await backUp(service, instance.id)).id)
    await rename(replicaPath, `${replicaPath}.away`)
    const original = await backUp(service, instance.id)
    const failed = await failedCopy(service, original.id)
    expect(failed.error).toMatchObject({ code: 'STORAGE_UNREACHABLE' })
    for (const attempt of [2, 3]) {
      await tryAgainNow(database, failed.id)
      await waitFor('the next attempt', async () => {
        const [job] = await copyJobsOf(database, original.id)
        return job?.attempt === attempt && job.status !== 'IN_PROGRESS'
      })
    }
    expect(await service.ended(failed.id)).toMatchObject({ status: 'FAILED' })
    expect(await readdir(folder)).not.toContain('elsewhere')
    const later = (minutes: number) => new Date(Date.now() + minutes * 60_000)
    expect(await startMissingCopies(database, { now: later(10), atMost })).toBe(0)
    await rename(`${replicaPath}.away`, replicaPath)
    expect(await startMissingCopies(database, { now: later(16), atMost })).toBe(1)
    const [, second] = await copyJobsOf(database, original.id)
    expect(await service.ended(second?.id ?? '')).toMatchObject({ status: 'COMPLETED', error: null })
    expect(await copiesOf(database, instance.id)).toHaveLength(2)
    expect(await findRecoveryPoints(database, [original.id])).toMatchObject([{ copyFailures: 0, copyRetryAt: null }])
  })

  test('because other things lie there', async ({ databaseUrl, folder, source }) => {
    await mkdir(join(folder, 'elsewhere'))
    await writeFile(join(folder, 'elsewhere', 'letters.txt'), 'Dear all')
    await using service = await startService({ databaseUrl, folder })
    const { instance } = await protectTwice(service, source, folder)
    const original = await backUp(service, instance.id)
    expect(await copied(service.database, original.id)).toMatchObject({
      status: 'FAILED',
      error: { code: 'VAULT_OCCUPIED' },
    })
    expect(await readdir(join(folder, 'elsewhere'))).toEqual(['letters.txt'])
  })

  test('because the original’s own disk is gone: that says nothing of the original', async ({
    databaseUrl,
    folder,
    source,
  }) => {
    await using service = await startService({ databaseUrl, folder })
    const { database } = service
    const { instance, vault, vaultPath } = await protect(service, source, folder)
    const original = await backUp(service, instance.id)
    await rename(vaultPath, `${vaultPath}.away`)
    const replica = await addReplicaVault(service, folder)
    await nameReplica(database, { vaultId: vault.id, replicaId: replica.id })
    await startMissingCopies(database, { now: new Date(), atMost })
    expect((await failedCopy(service, original.id)).error).toMatchObject({ code: 'STORAGE_UNREACHABLE' })
    expect(await findRecoveryPoints(database, [original.id])).toMatchObject([{ state: 'AVAILABLE', damage: [] }])
  })
})
