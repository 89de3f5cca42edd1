import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { eq } from 'drizzle-orm'
import { describe, expect } from 'vitest'
import type { Database } from '../src/database/connect.ts'
import { jobs } from '../src/database/tables/job.ts'
import { recoveryPoints } from '../src/database/tables/recovery-point.ts'
import { backUpNow } from '../src/instance/back-up-now.ts'
import { startMissingCopies } from '../src/recovery-point/copy/start-missing-copies.ts'
import { exportRecoveryKey } from '../src/vault/export-recovery-key.ts'
import { importVault } from '../src/vault/import/import-vault.ts'
import { rebuildCatalogue } from '../src/vault/import/rebuild-catalogue.ts'
import { backUpMetadata } from '../src/vault/metadata/back-up.ts'
import type { Vault } from '../src/vault/vault.ts'
import { freezeDump } from './kit/dump-process.ts'
import { findRecoveryPointsOf } from './kit/points.ts'
import {
  actor,
  endOf,
  pathOf,
  protect,
  runSql,
  type Service,
  startService,
  tryAgainNow,
} from './kit/protected-server.ts'
import { recoverFrom } from './kit/recovered.ts'
import { addReplicaVault, backUp, copied, copiesOf, copyJobsOf, loseDisk, nameReplica } from './kit/replica.ts'
import { test } from './kit/test.ts'

const now = () => new Date()
const table = ['drop table if exists orders', 'create table orders as select i from generate_series(1, 1000) i']

/** Makes work without a worker beginning it: until tryAgainNow it waits. */
async function putOff<Made>(database: Database, make: (tx: Database) => Promise<Made>): Promise<Made> {
  return database.transaction(async (tx) => {
    const made = await make(tx)
    await tx
      .update(jobs)
      .set({ runAt: new Date(Date.now() + 3_600_000) })
      .where(eq(jobs.status, 'QUEUED'))
    return made
  })
}

async function copyMetadata({ database, ended }: Service, vault: Vault): Promise<void> {
  const { id } = await backUpMetadata(database, { vaultId: vault.id, actor, now: now() })
  expect(await ended(id)).toMatchObject({ status: 'COMPLETED', error: null })
}

async function keyOf({ database, secrets }: Service, vault: Vault): Promise<string> {
  return (await exportRecoveryKey(database, { vaultId: vault.id, secrets, actor, now: now() })).recoveryKey
}

async function adopt({ database, secrets, ended }: Service, vault: Vault, recoveryKey: string) {
  const location = { kind: 'DIRECTORY' as const, path: pathOf(vault) }
  const how = { readBack: true, dryRun: false, secrets, actor, now: now() }
  return ended((await importVault(database, { name: vault.name, location, recoveryKey, ...how })).id)
}

const foldersOf = (path: string, instanceId: string) => readdir(join(path, 'points', instanceId))

describe('a recovery from a copy of the metadata', { timeout: 180_000 }, () => {
  test('that was made while a backup was running keeps the point that it made', async ({
    databaseUrl,
    folder,
    source,
  }) => {
    await runSql(source, 'postgres', ...table)
    await using before = await startService({ databaseUrl, folder })
    const { instance, vault, vaultPath } = await protect(before, source, folder)
    const recoveryKey = await keyOf(before, vault)
    const job = await backUpNow(before.database, { instanceId: instance.id, actor, now: now() })
    const dump = await freezeDump(source.port, 'postgres')
    await copyMetadata(before, vault)
    dump.resume()
    expect(await before.ended(job.id)).toMatchObject({ status: 'COMPLETED', attempt: 1 })
    await expectKept({ jobId: job.id, instanceId: instance.id, vault, vaultPath, recoveryKey, folder })
  })

  test('that was made while a backup waited for a worker keeps the point that it made', async ({
    databaseUrl,
    folder,
    source,
  }) => {
    await runSql(source, 'postgres', ...table)
    await using before = await startService({ databaseUrl, folder })
    const { instance, vault, vaultPath } = await protect(before, source, folder)
    const recoveryKey = await keyOf(before, vault)
    const job = await putOff(before.database, (tx) => backUpNow(tx, { instanceId: instance.id, actor, now: now() }))
    await copyMetadata(before, vault)
    await tryAgainNow(before.database, job.id)
    expect(await before.ended(job.id)).toMatchObject({ status: 'COMPLETED', attempt: 1 })
    await expectKept({ jobId: job.id, instanceId: instance.id, vault, vaultPath, recoveryKey, folder })
  })

  async function expectKept(made: {
    jobId: string
    instanceId: string
    vault: Vault
    vaultPath: string
    recoveryKey: string
    folder: string
  }) {
    const { jobId, instanceId, vault, vaultPath, recoveryKey, folder } = made
    await using place = await recoverFrom(vaultPath, { recoveryKey, folder })
    expect(place.recovered).toMatchObject({ endedBackups: 1, unknownPointCount: 1 })
    await using after = await startService(place, { clock: true })
    expect(await endOf(after.database, jobId)).toMatchObject({ status: 'CANCELLED' })
    expect(await adopt(after, vault, recoveryKey)).toMatchObject({ status: 'COMPLETED', error: null })
    expect(await foldersOf(vaultPath, instanceId)).toEqual([`${jobId}.1`])
    expect(await findRecoveryPointsOf(after.database, instanceId)).toMatchObject([
      { jobId, state: 'AVAILABLE', proof: 'READ_BACK' },
    ])
  }

  test('that was made while a copy waited for a worker keeps the only one that is left', async ({
    databaseUrl,
    folder,
    source,
  }) => {
    await runSql(source, 'postgres', ...table)
    await using before = await startService({ databaseUrl, folder })
    const { database } = before
    const { instance, vault, vaultPath } = await protect(before, source, folder)
    const points = [await backUp(before, instance.id), await backUp(before, instance.id)]
    const replica = await addReplicaVault(before, folder)
    const recoveryKey = await keyOf(before, replica)
    await nameReplica(database, { vaultId: vault.id, replicaId: replica.id })
    // The first one sets the replica up.
    await startMissingCopies(database, { now: now(), atMost: 1 })
    expect(await copied(database, points[0]?.id ?? '')).toMatchObject({ status: 'COMPLETED' })
    await putOff(database, (tx) => startMissingCopies(tx, { now: now(), atMost: 1 }))
    const [job] = await copyJobsOf(database, points[1]?.id ?? '')
    await copyMetadata(before, replica)
    await tryAgainNow(database, job?.id ?? '')
    expect(await before.ended(job?.id ?? '')).toMatchObject({ status: 'COMPLETED', attempt: 1 })
    const folders = await foldersOf(pathOf(replica), instance.id)
    expect(folders).toHaveLength(2)
    await loseDisk(vaultPath)

    await using place = await recoverFrom(pathOf(replica), { recoveryKey, folder })
    expect(place.recovered).toMatchObject({ endedBackups: 0, unknownPointCount: 1 })
    await using after = await startService(place, { clock: true })
    expect(await adopt(after, replica, recoveryKey)).toMatchObject({ error: null })
    expect(await foldersOf(pathOf(replica), instance.id)).toEqual(folders)
    expect(await copiesOf(after.database, instance.id)).toMatchObject([{ state: 'AVAILABLE' }, { state: 'AVAILABLE' }])
  })
})

describe('a catalogue that was set back by hand to before a backup ended', { timeout: 180_000 }, () => {
  const moments = [
    { when: 'was running', attempt: 1, becomes: { status: 'COMPLETED', attempt: 2, error: null }, points: 2 },
    { when: 'waited', attempt: 0, becomes: { status: 'FAILED', error: { code: 'STORAGE_OBJECT_EXISTS' } }, points: 1 },
  ]
  test.for(moments)(
    'to when it $when leaves its point in the vault, to be made known again',
    async (moment, { databaseUrl, folder, source }) => {
      await runSql(source, 'postgres', ...table)
      await using service = await startService({ databaseUrl, folder })
      const { database, ended } = service
      const { instance, vault, vaultPath } = await protect(service, source, folder)
      const point = await backUp(service, instance.id)
      const jobId = point.jobId ?? ''
      await database.delete(recoveryPoints)
      const unfinished = { status: 'QUEUED', endedAt: null, workerId: null, mayHaveLeftovers: true } as const
      await database
        .update(jobs)
        .set({ ...unfinished, attempt: moment.attempt })
        .where(eq(jobs.id, jobId))
      await tryAgainNow(database, jobId)
      expect(await ended(jobId)).toMatchObject(moment.becomes)
      expect(await foldersOf(vaultPath, instance.id)).toContain(`${jobId}.1`)
      const asked = { vaultId: vault.id, readBack: true, dryRun: false, actor, now: now() }
      expect(await ended((await rebuildCatalogue(database, asked)).id)).toMatchObject({ status: 'COMPLETED' })
      const points = await findRecoveryPointsOf(database, instance.id)
      expect(points).toHaveLength(moment.points)
      expect(points.find(({ id }) => id === point.id)).toMatchObject({ state: 'AVAILABLE', proof: 'READ_BACK' })
    },
  )
})
