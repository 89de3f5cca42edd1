import { join } from 'node:path'
import { expect } from 'vitest'
import { backUpNow } from '../src/instance/back-up-now.ts'
import { keysBelow, protectInBucket } from './kit/bucket.ts'
import { findRecoveryPointsOf } from './kit/points.ts'
import { actor, endOf, runSql, startService } from './kit/protected-server.ts'
import { startS3Server } from './kit/s3-server.ts'
import { startServiceProcess } from './kit/service-process.ts'
import { test } from './kit/test.ts'
import { waitFor } from './kit/wait-for.ts'

test('a worker that is killed while it sends parts leaves nothing but the point of the one that takes over', {
  timeout: 90_000,
}, async ({ databaseUrl, database, folder, source }) => {
  await using store = await startS3Server()
  await runSql(
    source,
    'postgres',
    "create table noise as select i, encode(sha512((random()::text || i)::bytea), 'hex') as text from generate_series(1, 300000) i",
  )
  const { instance } = await protectedAlready()
  const keyFile = join(folder, 'secret.key')
  await using doomed = await startServiceProcess({ databaseUrl, folder, keyFile })
  store.fail('UploadPart', { kind: 'stalled' })
  const job = await backUpNow(database, { instanceId: instance.id, actor, now: new Date() })
  await waitFor('a part on its way', async () => store.asked.includes('UploadPart'))
  await doomed.kill()
  expect(keysBelow(store, `points/${instance.id}/${job.id}.1/`)).toContainEqual(expect.stringMatching(/unfinished/))
  await using _heir = await startServiceProcess({ databaseUrl, folder, keyFile })
  expect(await endOf(database, job.id)).toMatchObject({ status: 'COMPLETED', attempt: 2, error: null })
  const [point, ...others] = await findRecoveryPointsOf(database, instance.id)
  expect(others).toEqual([])
  expect(point?.prefix).toContain(`${job.id}.2`)
  const left = keysBelow(store, 'points/')
  expect(left.filter((key) => !key.includes(`/${job.id}.2/`) || key.includes('unfinished'))).toEqual([])
  expect(left.length).toBeGreaterThan(3)

  /** The worker of the test is the only one afterwards. */
  async function protectedAlready() {
    await using service = await startService({ databaseUrl, folder })
    return await protectInBucket(service, store, source)
  }
})
