import { expect } from 'vitest'
import { recoveryPoints } from '../src/database/tables/recovery-point.ts'
import { generateIdentity } from '../src/secret/age-identity.ts'
import { openStorage } from '../src/storage/open.ts'
import { initialiseVault } from '../src/storage/vault-layout.ts'
import { importVault } from '../src/vault/import/import-vault.ts'
import { rebuildCatalogue } from '../src/vault/import/rebuild-catalogue.ts'
import { importReportOf } from '../src/vault/import/request.ts'
import { actor, endOf, startService } from './kit/protected-server.ts'
import { type S3Server, secretAccessKey, startS3Server } from './kit/s3-server.ts'
import { startServiceProcess } from './kit/service-process.ts'
import { test } from './kit/test.ts'
import { waitFor } from './kit/wait-for.ts'
import { writePoint } from './kit/written-vault.ts'

const vaultId = crypto.randomUUID()
const instanceId = crypto.randomUUID()

/** A vault in a bucket that nothing is known of but where it is and its key. */
async function bucketVault(store: S3Server, pointCount: number) {
  const { identity, recipient } = generateIdentity()
  const location = { ...store.location({ prefix: 'holdfast/main/' }), secretAccessKey }
  const storage = openStorage(location)
  await initialiseVault(storage, { vaultId, recipient, now: new Date() })
  for (let day = 1; day <= pointCount; day++) {
    await writePoint({ storage, vaultId, recipient }, { instanceId, createdAt: `2026-02-0${day}T02:30:00.000Z` })
  }
  return { name: 'Found', location, recoveryKey: identity, readBack: true, dryRun: false, actor, now: new Date() }
}

test('a bucket that cannot be listed is a failure, never an empty vault, and is imported once it can be', {
  timeout: 60_000,
}, async ({ databaseUrl, folder }) => {
  await using store = await startS3Server()
  await using service = await startService({ databaseUrl, folder })
  const { database, secrets } = service
  const given = await bucketVault(store, 3)
  store.fail('ListObjectsV2', {
    kind: 'answer',
    answer: { status: 403, body: '<Error><Code>AccessDenied</Code></Error>' },
  })
  const refused = await service.ended((await importVault(database, { ...given, secrets })).id)
  expect(refused).toMatchObject({ status: 'FAILED', error: { code: 'STORAGE_PERMISSION_DENIED' } })
  expect(await database.select().from(recoveryPoints)).toEqual([])
  // Its key was proven before: the vault is known, and what it holds is made known as for any known one.
  const asked = { vaultId, readBack: true, dryRun: false, actor, now: new Date() }
  const ended = await service.ended((await rebuildCatalogue(database, asked)).id)
  expect(importReportOf(ended)).toMatchObject({ pointsImported: 3, pointsReadBack: 3, unreadableCount: 0 })
})

test('a worker that is killed in the middle of an import is followed by one that makes known what is missing, once', {
  timeout: 120_000,
}, async ({ databaseUrl, database, folder }) => {
  await using store = await startS3Server()
  const given = await bucketVault(store, 4)
  const secrets = await (async () => {
    await using service = await startService({ databaseUrl, folder })
    return service.secrets
  })()
  const keyFile = `${folder}/secret.key`
  await using doomed = await startServiceProcess({ databaseUrl, folder, keyFile })
  // The second point's manifest is waited for when the first one is recorded already.
  store.fail('GetObject', { kind: 'stalled' }, { passing: 9 })
  const asked = store.asked.length
  const reads = () => store.asked.slice(asked).filter((operation) => operation === 'GetObject').length
  const job = await importVault(database, { ...given, secrets })
  await waitFor('a second point that waits', () => reads() > 9, { withinMs: 20_000 })
  await doomed.kill()
  const before = await database.$count(recoveryPoints)
  expect(before).toBeLessThan(4)
  await using _heir = await startServiceProcess({ databaseUrl, folder, keyFile })
  const ended = await endOf(database, job.id)
  expect(ended).toMatchObject({ status: 'COMPLETED', attempt: 2, error: null })
  // What the lost one has made known is told as well.
  expect(importReportOf(ended)).toMatchObject({
    pointsImported: 4,
    alreadyKnown: 0,
    pointsReadBack: 4,
    instances: ['Orders in Main'],
    servers: ['Orders'],
  })
  const points = await database.select().from(recoveryPoints)
  expect(points.map(({ proof }) => proof)).toEqual(['READ_BACK', 'READ_BACK', 'READ_BACK', 'READ_BACK'])
})

test('a store that does not answer while a point is made known holds nothing up, and the point is made known', {
  timeout: 60_000,
}, async ({ databaseUrl, folder }) => {
  await using store = await startS3Server()
  await using service = await startService({ databaseUrl, folder })
  const { database, secrets } = service
  const given = await bucketVault(store, 1)
  // The first looks at the vault's own header, the second at what is being recorded.
  store.fail('HeadObject', { kind: 'stalled' }, { passing: 1 })
  const job = await importVault(database, { ...given, readBack: false, secrets })
  const ended = await service.ended(job.id, { withinMs: 20_000 })
  expect(ended).toMatchObject({ status: 'COMPLETED', attempt: 1, error: null })
  expect(importReportOf(ended)).toMatchObject({ pointsImported: 1, alreadyKnown: 0, instances: ['Orders in Main'] })
})
