import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import postgres from 'postgres'
import { describe, expect } from 'vitest'
import type { Cluster } from '../src/cluster/start.ts'
import type { Database } from '../src/database/connect.ts'
import { backUpNow } from '../src/instance/back-up-now.ts'
import { findJobs } from '../src/job/find.ts'
import { restoreToServer } from '../src/restore/to-server.ts'
import { freezeDump, programsTalkingTo } from './kit/dump-process.ts'
import { findRecoveryPointsOf } from './kit/points.ts'
import { actor, endOf, protect, register, runSql, startService } from './kit/protected-server.ts'
import { startServiceProcess } from './kit/service-process.ts'
import { sourceServer } from './kit/source-server.ts'
import { test } from './kit/test.ts'
import { waitFor } from './kit/wait-for.ts'

const now = () => new Date()

async function largeServer(): Promise<Cluster> {
  const source = await sourceServer()
  await runSql(
    source,
    'postgres',
    'create table orders as select i, repeat(md5(i::text), 30) as text from generate_series(1, 50000) i',
  )
  return source
}

/** Protects a server with a worker that is stopped again, so that the worker of the test is the only one. */
async function protectedAlready(databaseUrl: string, folder: string, source: Cluster) {
  await using service = await startService({ databaseUrl, folder })
  return await protect(service, source, folder)
}

async function prefixesOf(vaultPath: string, instanceId: string): Promise<string[]> {
  return readdir(join(vaultPath, 'points', instanceId)).catch(() => [])
}

async function expectOnePoint(database: Database, jobId: string, vaultPath: string, instanceId: string, port: number) {
  const ended = await endOf(database, jobId)
  expect(ended).toMatchObject({ status: 'COMPLETED', attempt: 2, error: null })
  const points = await findRecoveryPointsOf(database, instanceId)
  expect(points).toHaveLength(1)
  expect(points[0]?.prefix).toContain(`${jobId}.2`)
  expect(await prefixesOf(vaultPath, instanceId)).toEqual([`${jobId}.2`])
  expect(await programsTalkingTo(port)).toEqual([])
}

describe('a worker that is lost in the middle of a backup', { timeout: 90_000 }, () => {
  test('by SIGKILL: another takes over within the lease and 5 s, and exactly one point and no orphan is there', async ({
    databaseUrl,
    database,
    folder,
  }) => {
    await using source = await largeServer()
    const { instance, vaultPath } = await protectedAlready(databaseUrl, folder, source)
    const keyFile = join(folder, 'secret.key')
    await using doomed = await startServiceProcess({ databaseUrl, folder, keyFile })
    const job = await backUpNow(database, { instanceId: instance.id, actor, now: now() })
    const dump = await freezeDump(source.port, 'postgres')
    await using _heir = await startServiceProcess({ databaseUrl, folder, keyFile })
    await doomed.kill()
    const killedAt = Date.now()
    await waitFor('the dump to die with its worker', async () => (await programsTalkingTo(source.port)).length === 0)
    expect(dump.pid).toBeGreaterThan(0)
    const taken = await waitFor(
      'the take-over',
      async () => {
        const found = (await findJobs(database, [job.id])).get(job.id)
        return found && found.attempt > 1 ? found : undefined
      },
      { withinMs: 2_000 + 5_000 + 5_000 },
    )
    expect(Number(taken.attemptStartedAt) - killedAt).toBeLessThan(2_000 + 5_000)
    await expectOnePoint(database, job.id, vaultPath, instance.id, source.port)
  })

  test('by being frozen past its lease: when it wakes, its writes change nothing', async ({
    databaseUrl,
    database,
    folder,
  }) => {
    await using source = await largeServer()
    const { instance, vaultPath } = await protectedAlready(databaseUrl, folder, source)
    const keyFile = join(folder, 'secret.key')
    await using frozen = await startServiceProcess({ databaseUrl, folder, keyFile })
    const job = await backUpNow(database, { instanceId: instance.id, actor, now: now() })
    const dump = await freezeDump(source.port, 'postgres')
    frozen.freeze()
    await using heir = await startServiceProcess({ databaseUrl, folder, keyFile })
    const ended = await endOf(database, job.id)
    expect(ended).toMatchObject({ status: 'COMPLETED', attempt: 2 })
    frozen.wake()
    dump.resume()
    await waitFor('the woken worker to give up', async () => (await programsTalkingTo(source.port)).length === 0)
    await waitFor('the lost lease in its log', () => frozen.printed().includes('LEASE_LOST'))
    expect(await frozen.stop()).toBe(0)
    expect(await heir.stop()).toBe(0)
    const after = (await findJobs(database, [job.id])).get(job.id)
    expect(after).toEqual(ended)
    await expectOnePoint(database, job.id, vaultPath, instance.id, source.port)
  })

  test('by being told to stop: the job is handed back at once and costs no attempt', async ({
    databaseUrl,
    database,
    folder,
  }) => {
    await using source = await largeServer()
    const { instance, vaultPath } = await protectedAlready(databaseUrl, folder, source)
    const keyFile = join(folder, 'secret.key')
    await using leaving = await startServiceProcess({ databaseUrl, folder, keyFile })
    const job = await backUpNow(database, { instanceId: instance.id, actor, now: now() })
    const dump = await freezeDump(source.port, 'postgres')
    const stopped = leaving.stop()
    await waitFor('the job to be handed back', async () => {
      return (await findJobs(database, [job.id])).get(job.id)?.status === 'QUEUED'
    })
    expect(await stopped).toBe(0)
    expect(dump.pid).toBeGreaterThan(0)
    expect(await prefixesOf(vaultPath, instance.id)).toEqual([])
    await using _heir = await startServiceProcess({ databaseUrl, folder, keyFile })
    await expectOnePoint(database, job.id, vaultPath, instance.id, source.port)
  })
})

describe('a worker that is lost in the middle of a restore', { timeout: 90_000 }, () => {
  test('leaves nothing behind once another has taken over: the database alone, under its name', async ({
    databaseUrl,
    database,
    folder,
  }) => {
    await using source = await largeServer()
    await using target = await sourceServer()
    await runSql(source, 'postgres', 'create database shop template postgres')
    const { point, server } = await backedUpAlready(databaseUrl, folder, source, target)
    const keyFile = join(folder, 'secret.key')
    await using doomed = await startServiceProcess({ databaseUrl, folder, keyFile })
    const job = await restoreToServer(database, {
      recoveryPointId: point.id,
      serverId: server.id,
      databases: [{ name: 'shop', targetName: 'shop_restored' }],
      ownership: { kind: 'KEEP' },
      actor,
      now: now(),
    })
    await waitFor('a running pg_restore', async () => (await programsTalkingTo(target.port)).length > 0)
    await doomed.kill()
    await using _heir = await startServiceProcess({ databaseUrl, folder, keyFile })
    expect(await endOf(database, job.id)).toMatchObject({ status: 'COMPLETED', attempt: 2, error: null })
    const sql = postgres(target.url('postgres'), { max: 1 })
    const rows = await sql<
      { name: string }[]
    >`select datname as name from pg_database where not datistemplate order by 1`
    await sql.end()
    expect(rows.map(({ name }) => name)).toEqual(['postgres', 'shop_restored'])
  })

  async function backedUpAlready(databaseUrl: string, folder: string, source: Cluster, target: Cluster) {
    await using service = await startService({ databaseUrl, folder })
    const { instance } = await protect(service, source, folder)
    const job = await backUpNow(service.database, { instanceId: instance.id, actor, now: now() })
    expect(await service.ended(job.id)).toMatchObject({ status: 'COMPLETED' })
    const [point] = await findRecoveryPointsOf(service.database, instance.id)
    if (!point) throw new Error('no recovery point')
    return { point, server: await register(service, target) }
  }
})
