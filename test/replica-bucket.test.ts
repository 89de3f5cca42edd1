import { readdir, rename } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'vitest'
import { restoreAsFiles } from '../src/restore/as-files.ts'
import { createVault } from '../src/vault/create.ts'
import { bucketPrefix, keysBelow, protectInBucket } from './kit/bucket.ts'
import { actor, protect, runSql, type Service, startService } from './kit/protected-server.ts'
import { addReplicaVault, backUp, copied, copiesOf, nameReplica } from './kit/replica.ts'
import { startS3Server } from './kit/s3-server.ts'
import { test } from './kit/test.ts'

async function restored(service: Service, recoveryPointId: string, directory: string): Promise<string[]> {
  const asked = { databases: null, actor, now: new Date() }
  const job = await restoreAsFiles(service.database, {
    recoveryPointId,
    target: { kind: 'DIRECTORY', path: directory },
    ...asked,
  })
  expect(await service.ended(job.id)).toMatchObject({ status: 'COMPLETED', error: null })
  return readdir(directory)
}

test('a vault in a directory has its copies in a bucket, and comes back from there', { timeout: 90_000 }, async ({
  databaseUrl,
  folder,
  source,
}) => {
  await using store = await startS3Server()
  await runSql(source, 'postgres', 'create table things as select generate_series(1, 999) i')
  await using service = await startService({ databaseUrl, folder })
  const { database, secrets } = service
  const { instance, vault, vaultPath } = await protect(service, source, folder)
  const location = store.location({ prefix: bucketPrefix })
  const place = { name: 'cloud', location, secrets, actor, now: new Date() }
  const replica = await createVault(database, place)
  await nameReplica(database, { vaultId: vault.id, replicaId: replica.id })
  const job = await copied(database, (await backUp(service, instance.id)).id)
  expect(job).toMatchObject({ status: 'COMPLETED', error: null })
  const [copy] = await copiesOf(database, instance.id)
  expect(keysBelow(store, copy?.prefix ?? '')).toHaveLength(4)
  await rename(vaultPath, join(folder, 'lost'))
  expect(await restored(service, copy?.id ?? '', join(folder, 'restored'))).toContain('manifest.json')
})

test('a vault in a bucket has its copies in a directory, and comes back when the store is gone', {
  timeout: 90_000,
}, async ({ databaseUrl, folder, source }) => {
  await using service = await startService({ databaseUrl, folder })
  const { database } = service
  const copy = await (async () => {
    await using store = await startS3Server()
    const { instance, vault } = await protectInBucket(service, store, source)
    const replica = await addReplicaVault(service, folder)
    await nameReplica(database, { vaultId: vault.id, replicaId: replica.id })
    const job = await copied(database, (await backUp(service, instance.id)).id)
    expect(job).toMatchObject({ status: 'COMPLETED', error: null })
    return (await copiesOf(database, instance.id))[0]
  })()
  expect(await restored(service, copy?.id ?? '', join(folder, 'restored'))).toContain('manifest.json')
})
