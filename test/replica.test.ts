import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { eq } from 'drizzle-orm'
import postgres from 'postgres'
import { describe, expect } from 'vitest'
import type { Cluster } from '../src/cluster/start.ts'
import { jobs } from '../src/database/tables/job.ts'
import { recoveryPointContents } from '../src/database/tables/recovery-point-contents.ts'
import { recoveryPointProofs } from '../src/database/tables/recovery-point-proof.ts'
import { findRecoveryPoints } from '../src/recovery-point/find.ts'
import { verifyRecoveryPoint } from '../src/recovery-point/verify.ts'
import { restoreAsFiles } from '../src/restore/as-files.ts'
import { restoreToServer } from '../src/restore/to-server.ts'
import { readSealedJson } from '../src/storage/sealed-json.ts'
import { startMissingCopiesChore } from '../src/worker/clock/start-missing-copies.ts'
import { storageOf } from '../src/worker/subjects.ts'
import { actor, protect, register, runSql, startService } from './kit/protected-server.ts'
import {
  addReplicaVault,
  backUp,
  copied,
  copiesOf,
  copyJobsOf,
  loseDisk,
  nameReplica,
  protectTwice,
} from './kit/replica.ts'
import { sourceServer } from './kit/source-server.ts'
import { test } from './kit/test.ts'

const asked = () => ({ actor, now: new Date() })

async function fill(source: Cluster): Promise<void> {
  await runSql(source, 'postgres', 'drop database if exists shop', 'create database shop')
  await runSql(source, 'shop', 'create table orders as select i, md5(i::text) as word from generate_series(1, 4321) i')
}

async function filesBelow(path: string, prefix: string): Promise<string[]> {
  return (await readdir(join(path, prefix))).toSorted()
}

describe('a recovery point of a vault that names a replica', { timeout: 120_000 }, () => {
  test('is copied once it is proven: a point of its own, sealed for the replica, with digests and proof of its own', async ({
    databaseUrl,
    folder,
    source,
  }) => {
    await fill(source)
    await using service = await startService({ databaseUrl, folder })
    const { database } = service
    const { instance, vault, replica, vaultPath, replicaPath } = await protectTwice(service, source, folder)
    const original = await backUp(service, instance.id)
    const job = await copied(database, original.id)
    expect(job).toMatchObject({ status: 'COMPLETED', trigger: 'SYSTEM', vaultId: replica.id, error: null })
    expect(job.bytesDone).toBe(job.bytesTotal)
    const [copy, ...others] = await copiesOf(database, instance.id)
    expect(others).toEqual([])
    expect(copy).toMatchObject({
      copyOfId: original.id,
      vaultId: replica.id,
      instanceId: instance.id,
      jobId: job.id,
      prefix: `points/${instance.id}/${job.id}.1/`,
      state: 'AVAILABLE',
      proof: 'READ_BACK',
      tag: original.tag,
      createdAt: original.createdAt,
      pointInTime: original.pointInTime,
      expiresAt: original.expiresAt,
      sourceBytes: original.sourceBytes,
    })
    if (!copy) throw new Error('There is no copy.')
    const [proof] = await database
      .select()
      .from(recoveryPointProofs)
      .where(eq(recoveryPointProofs.recoveryPointId, copy.id))
    expect(proof).toMatchObject({ level: 'READ_BACK', outcome: 'PROVEN', jobId: job.id })
    const isOfCopy = eq(recoveryPointContents.recoveryPointId, copy.id)
    const [contents] = await database.select().from(recoveryPointContents).where(isOfCopy)
    expect(contents?.databases.map(({ name }) => name)).toEqual(['postgres', 'shop'])
    const files = await filesBelow(replicaPath, copy.prefix)
    expect(files).toEqual(await filesBelow(vaultPath, original.prefix))
    for (const file of files) {
      const [one, other] = await Promise.all([
        readFile(join(vaultPath, original.prefix, file)),
        readFile(join(replicaPath, copy.prefix, file)),
      ])
      expect(one.equals(other)).toBe(false)
    }
    const manifest = await readSealedJson(storageOf(service.context, replica), `${copy.prefix}manifest.json.age`, {
      identity: service.secrets.open(replica.sealedIdentity),
      storedSha256: copy.manifestSha256,
    })
    expect(manifest).toMatchObject({
      recoveryPointId: copy.id,
      vaultId: replica.id,
      copyOf: { recoveryPointId: original.id, vaultId: vault.id },
      databases: [{ report: { name: 'postgres' } }, { report: { name: 'shop' }, tables: [{ rows: 4321 }] }],
    })
  })

  test('comes back from its copy when the disk of its own vault is lost: as files, and into a server', async ({
    databaseUrl,
    folder,
    source,
  }) => {
    await fill(source)
    await using target = await sourceServer()
    await using service = await startService({ databaseUrl, folder })
    const { database } = service
    const { instance, vaultPath } = await protectTwice(service, source, folder)
    const original = await backUp(service, instance.id)
    await copied(database, original.id)
    await loseDisk(vaultPath)
    const [copy] = await copiesOf(database, instance.id)
    const recoveryPointId = copy?.id ?? ''
    const directory = join(folder, 'restored')
    const asFiles = await restoreAsFiles(database, {
      recoveryPointId,
      target: { kind: 'DIRECTORY', path: directory },
      databases: ['shop'],
      ...asked(),
    })
    expect(await service.ended(asFiles.id)).toMatchObject({ status: 'COMPLETED', error: null })
    expect(await readdir(directory)).toContain('manifest.json')
    const server = await register(service, target)
    const toServer = await restoreToServer(database, {
      recoveryPointId,
      serverId: server.id,
      databases: [{ name: 'shop', targetName: 'shop' }],
      ownership: { kind: 'NONE' },
      ...asked(),
    })
    expect(await service.ended(toServer.id)).toMatchObject({ status: 'COMPLETED', error: null })
    const sql = postgres(target.url('shop'), { max: 1 })
    expect(await sql`select count(*)::int as rows from orders`).toMatchObject([{ rows: 4321 }])
    await sql.end()
  })

  test('and its copy are verified each for itself', async ({ databaseUrl, folder, source }) => {
    await using service = await startService({ databaseUrl, folder })
    const { database } = service
    const { instance } = await protectTwice(service, source, folder)
    const original = await backUp(service, instance.id)
    await copied(database, original.id)
    const [copy] = await copiesOf(database, instance.id)
    const job = await verifyRecoveryPoint(database, { recoveryPointId: copy?.id ?? '', ...asked() })
    expect(await service.ended(job.id)).toMatchObject({ status: 'COMPLETED', error: null })
    const after = await findRecoveryPoints(database, [original.id, copy?.id ?? ''])
    expect(new Map(after.map(({ id, proof }) => [id, proof]))).toEqual(
      new Map([
        [original.id, 'READ_BACK'],
        [copy?.id, 'DECODED'],
      ]),
    )
  })
})

test('points that were there before the replica was named are copied too, each once', async ({
  databaseUrl,
  folder,
  source,
}) => {
  await using service = await startService({ databaseUrl, folder })
  const { database } = service
  const { instance, vault } = await protect(service, source, folder)
  const points = [await backUp(service, instance.id), await backUp(service, instance.id)]
  expect(await database.$count(jobs)).toBe(3)
  const replica = await addReplicaVault(service, folder)
  await nameReplica(database, { vaultId: vault.id, replicaId: replica.id })
  await startMissingCopiesChore.run(service.context, new Date())
  await startMissingCopiesChore.run(service.context, new Date())
  for (const { id } of points) {
    expect(await copied(database, id)).toMatchObject({ status: 'COMPLETED', error: null })
    expect(await copyJobsOf(database, id)).toHaveLength(1)
  }
  const copies = await copiesOf(database, instance.id)
  expect(copies.map(({ copyOfId }) => copyOfId)).toEqual(points.map(({ id }) => id).toReversed())
}, 120_000)
