import { execFile } from 'node:child_process'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import postgres from 'postgres'
import { describe, expect } from 'vitest'
import type { Cluster } from '../src/cluster/start.ts'
import { backUpNow } from '../src/instance/back-up-now.ts'
import { requestCancel } from '../src/job/cancel.ts'
import type { JobRow } from '../src/job/states.ts'
import { freezeDump, programsTalkingTo } from './kit/dump-process.ts'
import { findRecoveryPointsOf } from './kit/points.ts'
import {
  actor,
  firstFailure,
  protect,
  runSql,
  type Service,
  startService,
  tryAgainNow,
} from './kit/protected-server.ts'
import { smallDisk } from './kit/small-disk.ts'
import { sourceServer } from './kit/source-server.ts'
import { test } from './kit/test.ts'

const run = promisify(execFile)
const now = () => new Date()

/** A server with a database large enough that a dump of it is caught in the middle. */
async function largeServer(): Promise<Cluster> {
  const source = await sourceServer()
  await runSql(source, 'postgres', 'create database shop')
  await runSql(
    source,
    'shop',
    'create table orders as select i, repeat(md5(i::text), 30) as text from generate_series(1, 50000) i',
  )
  return source
}

/** Every file below the vault's points, committed or not. */
async function filesOfPoints(vaultPath: string): Promise<string[]> {
  const entries = await readdir(join(vaultPath, 'points'), { recursive: true, withFileTypes: true }).catch(() => [])
  return entries.filter((entry) => entry.isFile()).map((entry) => entry.name)
}

async function expectNothingLeft(service: Service, vaultPath: string, instanceId: string, port: number): Promise<void> {
  expect(await findRecoveryPointsOf(service.database, instanceId)).toEqual([])
  expect(await filesOfPoints(vaultPath)).toEqual([])
  expect(await programsTalkingTo(port)).toEqual([])
}

async function start(service: Service, instanceId: string): Promise<JobRow> {
  return backUpNow(service.database, { instanceId, actor, now: now() })
}

describe('a backup that cannot be completed leaves nothing and says why', () => {
  test('when another session keeps a table locked', async ({ databaseUrl, folder }) => {
    await using source = await largeServer()
    await using service = await startService({ databaseUrl, folder }, { lockWaitMs: 1000 })
    const { instance, vaultPath } = await protect(service, source, folder)
    const blocker = postgres(source.url('shop'), { max: 1 })
    const reserved = await blocker.reserve()
    await reserved.unsafe('begin; lock table orders in access exclusive mode')
    const job = await start(service, instance.id)
    const failed = await firstFailure(service.database, job.id)
    expect(failed).toMatchObject({
      status: 'QUEUED',
      error: { code: 'TABLE_LOCKED', isUserError: true, isRetryable: true },
    })
    expect(failed.error?.details).toContain('orders')
    await expectNothingLeft(service, vaultPath, instance.id, source.port)
    reserved.release()
    await blocker.end({ timeout: 1 })
    await tryAgainNow(service.database, job.id)
    expect(await service.ended(job.id)).toMatchObject({ status: 'COMPLETED', attempt: 2, error: null })
  })

  test('when the database is dropped in the middle; the next attempt takes those that are left', async ({
    databaseUrl,
    folder,
  }) => {
    await using source = await largeServer()
    await using service = await startService({ databaseUrl, folder })
    const { instance, vaultPath } = await protect(service, source, folder)
    const job = await start(service, instance.id)
    const dump = await freezeDump(source.port, 'shop')
    await runSql(source, 'postgres', 'drop database shop with (force)')
    dump.resume()
    const failed = await firstFailure(service.database, job.id)
    expect(failed.error).toMatchObject({ isUserError: true, isRetryable: true })
    expect(['DATABASE_MISSING', 'CONNECTION_LOST']).toContain(failed.error?.code)
    await expectNothingLeft(service, vaultPath, instance.id, source.port)
    await tryAgainNow(service.database, job.id)
    expect(await service.ended(job.id)).toMatchObject({ status: 'COMPLETED', attempt: 2 })
    const [point] = await findRecoveryPointsOf(service.database, instance.id)
    expect(point?.databases.map(({ name }) => name)).toEqual(['postgres'])
  })

  test('when the server is stopped in the middle', async ({ databaseUrl, folder }) => {
    await using source = await largeServer()
    await using service = await startService({ databaseUrl, folder })
    const { instance, vaultPath } = await protect(service, source, folder)
    const job = await start(service, instance.id)
    const dump = await freezeDump(source.port, 'shop')
    await source.stop('immediate')
    dump.resume()
    const failed = await firstFailure(service.database, job.id)
    expect(['CONNECTION_LOST', 'SERVER_UNREACHABLE']).toContain(failed.error?.code)
    await expectNothingLeft(service, vaultPath, instance.id, source.port)
    await requestCancel(service.database, { jobId: job.id, actor, now: now() })
    expect(await service.ended(job.id)).toMatchObject({ status: 'CANCELLED' })
  })

  test('when pg_dump is killed', async ({ databaseUrl, folder }) => {
    await using source = await largeServer()
    await using service = await startService({ databaseUrl, folder })
    const { instance, vaultPath } = await protect(service, source, folder)
    const job = await start(service, instance.id)
    const dump = await freezeDump(source.port, 'shop')
    dump.kill()
    const failed = await firstFailure(service.database, job.id)
    expect(failed.error).toMatchObject({ code: 'TOOL_KILLED', isUserError: false, isRetryable: true })
    await expectNothingLeft(service, vaultPath, instance.id, source.port)
    await tryAgainNow(service.database, job.id)
    expect(await service.ended(job.id)).toMatchObject({ status: 'COMPLETED', attempt: 2 })
  })

  test('when it is cancelled: within a second the dump is dead and nothing is left', async ({
    databaseUrl,
    folder,
  }) => {
    await using source = await largeServer()
    await using service = await startService({ databaseUrl, folder })
    const { instance, vaultPath } = await protect(service, source, folder)
    const job = await start(service, instance.id)
    await freezeDump(source.port, 'shop')
    await requestCancel(service.database, { jobId: job.id, actor, now: now() })
    expect(await service.ended(job.id)).toMatchObject({ status: 'CANCELLED', error: null })
    await expectNothingLeft(service, vaultPath, instance.id, source.port)
    const next = await start(service, instance.id)
    expect(await service.ended(next.id)).toMatchObject({ status: 'COMPLETED' })
  })

  test('when nothing moves for longer than the limit', async ({ databaseUrl, folder }) => {
    await using source = await largeServer()
    await using service = await startService({ databaseUrl, folder }, { noProgressMs: 4000 })
    const { instance, vaultPath } = await protect(service, source, folder)
    const job = await start(service, instance.id)
    await freezeDump(source.port, 'shop')
    const failed = await firstFailure(service.database, job.id)
    expect(failed.error).toMatchObject({ code: 'NO_PROGRESS', isRetryable: true })
    await expectNothingLeft(service, vaultPath, instance.id, source.port)
    await requestCancel(service.database, { jobId: job.id, actor, now: now() })
  })
})

describe('a vault that cannot be written', () => {
  test.runIf(process.getuid?.() === 0)(
    'fails the backup by name when it is full, and keeps what it held',
    async ({ databaseUrl, folder }) => {
      await using source = await sourceServer()
      await using disk = await smallDisk(folder, 6)
      await using service = await startService({ databaseUrl, folder })
      const { instance, vaultPath } = await protect(service, source, disk.path)
      const small = await start(service, instance.id)
      expect(await service.ended(small.id)).toMatchObject({ status: 'COMPLETED' })
      const before = await filesOfPoints(vaultPath)
      await runSql(
        source,
        'postgres',
        `create table noise as select string_agg(sha512((i || '/' || j)::text::bytea)::text, '') as text
       from generate_series(1, 6000) i, generate_series(1, 16) j group by i`,
      )
      const job = await start(service, instance.id)
      const failed = await firstFailure(service.database, job.id)
      expect(failed.error).toMatchObject({ code: 'STORAGE_FULL', isUserError: true })
      expect(await filesOfPoints(vaultPath)).toEqual(before)
      expect(await findRecoveryPointsOf(service.database, instance.id)).toHaveLength(1)
      await requestCancel(service.database, { jobId: job.id, actor, now: now() })
    },
  )

  test.runIf(process.getuid?.() === 0)(
    'fails the backup by name when it is read-only',
    async ({ databaseUrl, folder, source }) => {
      await using disk = await smallDisk(folder, 6)
      await using service = await startService({ databaseUrl, folder })
      const { instance } = await protect(service, source, disk.path)
      await run('mount', ['-o', 'remount,ro', disk.path])
      const job = await start(service, instance.id)
      const failed = await service.ended(job.id)
      expect(failed).toMatchObject({ status: 'FAILED', error: { code: 'STORAGE_READ_ONLY', isUserError: true } })
    },
  )

  test('fails the backup when its directory is gone, and does not make a new one', async ({
    databaseUrl,
    folder,
    source,
  }) => {
    const { rename } = await import('node:fs/promises')
    await using service = await startService({ databaseUrl, folder })
    const { instance, vaultPath } = await protect(service, source, folder)
    await rename(vaultPath, `${vaultPath}.away`)
    const job = await start(service, instance.id)
    const failed = await firstFailure(service.database, job.id)
    expect(failed.error).toMatchObject({ code: 'STORAGE_UNREACHABLE', isUserError: true })
    expect(await readdir(folder)).not.toContain('vault')
    await rename(`${vaultPath}.away`, vaultPath)
    await tryAgainNow(service.database, job.id)
    expect(await service.ended(job.id)).toMatchObject({ status: 'COMPLETED', attempt: 2 })
  })
})
