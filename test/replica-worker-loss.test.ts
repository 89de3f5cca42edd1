import { join } from 'node:path'
import { eq } from 'drizzle-orm'
import { expect } from 'vitest'
import { vaults } from '../src/database/tables/vault.ts'
import { deleteBackupInstance } from '../src/instance/delete-backup-instance.ts'
import { startMissingCopies } from '../src/recovery-point/copy/start-missing-copies.ts'
import { createVault } from '../src/vault/create.ts'
import { bucketPrefix, keysBelow } from './kit/bucket.ts'
import { actor, endOf, type Protected, protect, runSql, type Service, startService } from './kit/protected-server.ts'
import { addReplicaVault, backUp, copied, copiesOf, copyJobsOf, nameReplica } from './kit/replica.ts'
import { type S3Server, startS3Server } from './kit/s3-server.ts'
import { startServiceProcess } from './kit/service-process.ts'
import { test } from './kit/test.ts'
import { waitFor } from './kit/wait-for.ts'

/** Enough for a part of an upload to be on its way before the last one is. */
const noise = [
  'drop table if exists noise',
  "create table noise as select i, encode(sha512((random()::text || i)::bytea), 'hex') as text from generate_series(1, 150000) i",
]

/** A replica in a bucket for the vault of a protected server, named. */
async function bucketReplica({ database, secrets }: Service, store: S3Server, { vault }: Protected) {
  const replica = await createVault(database, {
    name: 'cloud',
    location: { ...store.location({ prefix: bucketPrefix }) },
    softDeleteDays: 0,
    secrets,
    actor,
    now: new Date(),
  })
  await nameReplica(database, { vaultId: vault.id, replicaId: replica.id })
  return replica
}

test('a worker that is killed in the middle of a copy leaves nothing but the copy of the one that takes over', {
  timeout: 240_000,
}, async ({ databaseUrl, database, folder, source }) => {
  await using store = await startS3Server()
  await runSql(source, 'postgres', ...noise)
  const { instance, original } = await backedUpAlready()
  const keyFile = join(folder, 'secret.key')
  await using doomed = await startServiceProcess({ databaseUrl, folder, keyFile })
  store.fail('UploadPart', { kind: 'stalled' })
  await startMissingCopies(database, { now: new Date(), atMost: 10 })
  await waitFor('a part on its way', async () => store.asked.includes('UploadPart'), { withinMs: 60_000 })
  await doomed.kill()
  const [job] = await copyJobsOf(database, original.id)
  const jobId = job?.id ?? ''
  expect(keysBelow(store, `points/${instance.id}/${jobId}.1/`)).toContainEqual(expect.stringMatching(/unfinished/))
  await using _heir = await startServiceProcess({ databaseUrl, folder, keyFile })
  expect(await endOf(database, jobId, { withinMs: 60_000 })).toMatchObject({
    status: 'COMPLETED',
    attempt: 2,
    error: null,
  })
  const [copy, ...others] = await copiesOf(database, instance.id)
  expect(others).toEqual([])
  expect(copy?.prefix).toBe(`points/${instance.id}/${jobId}.2/`)
  const left = keysBelow(store, 'points/')
  expect(left.filter((key) => !key.includes(`/${jobId}.2/`) || key.includes('unfinished'))).toEqual([])
  expect(left.length).toBeGreaterThan(3)

  /** The worker of the test is the only one afterwards. */
  async function backedUpAlready() {
    await using service = await startService({ databaseUrl, folder })
    const made = await protect(service, source, folder)
    const point = await backUp(service, made.instance.id)
    await bucketReplica(service, store, made)
    return { ...made, original: point }
  }
})

test('a copy whose instance is deleted meanwhile is cancelled, and nothing of it is left', {
  timeout: 240_000,
}, async ({ databaseUrl, database, folder, source }) => {
  await using store = await startS3Server()
  await runSql(source, 'postgres', ...noise)
  await using service = await startService({ databaseUrl, folder })
  const made = await protect(service, source, folder)
  const { instance } = made
  await bucketReplica(service, store, made)
  const original = await backUp(service, instance.id)
  store.fail('UploadPart', { kind: 'stalled' })
  await waitFor('a part on its way', async () => store.asked.includes('UploadPart'), { withinMs: 60_000 })
  const why = { reason: 'TESTING', comment: null } as const
  const { cancelledJobIds } = await deleteBackupInstance(database, {
    instanceId: instance.id,
    confirmName: instance.name,
    ...why,
    dryRun: false,
    actor,
    now: new Date(),
  })
  const job = await copied(database, original.id)
  expect(cancelledJobIds).toEqual([job.id])
  expect(job).toMatchObject({ status: 'CANCELLED', error: null })
  expect(await copiesOf(database, instance.id)).toEqual([])
  expect(keysBelow(store, 'points/')).toEqual([])
})

test('two workers and two schedulers at once copy each point once', { timeout: 240_000 }, async ({
  databaseUrl,
  database,
  folder,
  source,
}) => {
  await runSql(source, 'postgres', 'drop table if exists noise')
  await using service = await startService({ databaseUrl, folder })
  await using _other = await startService({ databaseUrl, folder })
  const { instance, vault } = await protect(service, source, folder)
  const originals = []
  for (let made = 0; made < 4; made++) originals.push(await backUp(service, instance.id))
  const replica = await addReplicaVault(service, folder)
  await nameReplica(database, { vaultId: vault.id, replicaId: replica.id })
  const start = () => startMissingCopies(database, { now: new Date(), atMost: 10 })
  const [one, other] = await Promise.all([start(), start()])
  expect(one + other).toBe(4)
  for (const { id } of originals) {
    expect(await copied(database, id)).toMatchObject({ status: 'COMPLETED', error: null })
    expect(await copyJobsOf(database, id)).toHaveLength(1)
  }
  const copies = await copiesOf(database, instance.id)
  expect(copies.map(({ copyOfId }) => copyOfId)).toEqual(originals.map(({ id }) => id).toReversed())
  expect(await start()).toBe(0)
  const [known] = await database.select().from(vaults).where(eq(vaults.id, replica.id))
  expect(known?.capabilities).toMatchObject({ conditionalCreate: true })
})
