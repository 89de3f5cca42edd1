import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'vitest'
import { findJobs } from '../src/job/find.ts'
import { restoreAsFiles } from '../src/restore/as-files.ts'
import { actor, endOf, runSql, startService } from './kit/protected-server.ts'
import { addAccount, backedUp, bucketOf } from './kit/restored-files.ts'
import { startS3Server } from './kit/s3-server.ts'
import { startServiceProcess } from './kit/service-process.ts'
import { test } from './kit/test.ts'
import { waitFor } from './kit/wait-for.ts'

test('a worker that is killed while it restores into a bucket leaves the set of the one that takes over, and nothing else', {
  timeout: 120_000,
}, async ({ databaseUrl, database, folder, source }) => {
  await using store = await startS3Server()
  await runSql(
    source,
    'postgres',
    "create table noise as select i, encode(sha512((random()::text || i)::bytea), 'hex') as text from generate_series(1, 150000) i",
  )
  const { point, container } = await madeReady()
  const keyFile = join(folder, 'secret.key')
  await using doomed = await startServiceProcess({ databaseUrl, folder, keyFile })
  store.fail('UploadPart', { kind: 'stalled' }, { passing: 1 })
  const target = { kind: 'CONTAINER', containerId: container.id, folder: 'today' } as const
  const job = await restoreAsFiles(database, {
    recoveryPointId: point.id,
    target,
    databases: null,
    actor,
    now: new Date(),
  })
  await waitFor('two parts on their way', async () => store.asked.filter((each) => each === 'UploadPart').length > 1, {
    withinMs: 30_000,
  })
  await doomed.kill()
  expect(store.everything()).toContainEqual(expect.stringMatching(/unfinished/))
  expect((await findJobs(database, [job.id])).get(job.id)?.attempt).toBe(1)
  await using _heir = await startServiceProcess({ databaseUrl, folder, keyFile })
  expect(await endOf(database, job.id, { withinMs: 60_000 })).toMatchObject({
    status: 'COMPLETED',
    attempt: 2,
    error: null,
  })
  const names = ['0001-postgres.dump', 'RESTORE.md', 'globals.sql', 'manifest.json']
  expect(store.everything().toSorted()).toEqual(names.map((name) => `exports/restored/today/${name}`))
  expect(await readdir(folder)).not.toContain('exports')

  /** The workers of the test are the only ones afterwards. */
  async function madeReady() {
    await using service = await startService({ databaseUrl, folder })
    return { ...(await backedUp(service, source, folder)), ...(await addAccount(service, bucketOf(store))) }
  }
})
