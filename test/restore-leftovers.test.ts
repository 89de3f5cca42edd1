import { join } from 'node:path'
import { eq } from 'drizzle-orm'
import { describe, expect } from 'vitest'
import { connectDatabase } from '../src/database/connect.ts'
import { jobs } from '../src/database/tables/job.ts'
import { openSecretBox } from '../src/secret/secret-box.ts'
import { backedUp, databasesOf, startRestore } from './kit/backed-up.ts'
import { run } from './kit/engine.ts'
import { startService } from './kit/protected-server.ts'
import { startProxy } from './kit/proxy.ts'
import { sourceServer } from './kit/source-server.ts'
import { test } from './kit/test.ts'
import { waitFor } from './kit/wait-for.ts'

describe('What the last attempt at a restore cannot remove', { timeout: 120_000 }, () => {
  test('because its server is away is removed before the job ends, once that is back', async ({
    databaseUrl,
    folder,
  }) => {
    await using source = await sourceServer()
    await run(source, 'postgres', 'create database first')
    await run(source, 'postgres', 'create database second')
    await run(source, 'first', 'create table t as select 1 as i')
    // Making it takes longer than anything here, wherever it is restored; what is left of it is ended with its database.
    await run(
      source,
      'second',
      `create function slowly(i int) returns int immutable language plpgsql as
         $$ begin if current_database() <> 'second' then perform pg_sleep(60); end if; return i; end $$;
       create table numbers as select 1 as i; create index on numbers (slowly(i))`,
    )
    await using target = await sourceServer()
    await using proxy = await startProxy(`postgres://${target.host}:${target.port}`)
    const reached = { ...target, port: Number(new URL(proxy.url).port) }
    const { id } = await onlyAttempt(databaseUrl, folder, { source, target: reached })
    await using service = await startService({ databaseUrl, folder })
    await waitFor(
      'the index that takes long',
      async () => (await run(target, 'postgres', 'select from pg_stat_progress_create_index')).length > 0,
      { withinMs: 40_000 },
    )
    proxy.cut()
    await waitFor('the restore to have failed', () => service.logged().includes('The work of a job threw'), {
      withinMs: 60_000,
    })
    expect(await databasesOf(target)).toHaveLength(2)
    await proxy.heal()
    const ended = await service.ended(id, { withinMs: 60_000 })
    expect(ended).toMatchObject({ status: 'FAILED', attempt: 1, warnings: [] })
    expect(ended.error?.code).toMatch(/^(CONNECTION_LOST|SERVER_UNREACHABLE)$/)
    expect(await databasesOf(target)).toEqual([])
  })
})

/** A restore that has one attempt, and waits for a worker. */
async function onlyAttempt(
  databaseUrl: string,
  folder: string,
  { source, target }: Pick<Parameters<typeof startRestore>[1], 'target'> & { source: Parameters<typeof backedUp>[1] },
) {
  const point = await backUpAlone(databaseUrl, folder, source)
  await using connection = connectDatabase(databaseUrl)
  const { database } = connection
  const secrets = await openSecretBox(join(folder, 'secret.key'))
  const databases = ['first', 'second'].map((name) => ({ name, targetName: name }))
  const job = await startRestore({ database, secrets }, { point, target, databases })
  await database.update(jobs).set({ maxAttempts: 1 }).where(eq(jobs.id, job.id))
  return job
}

async function backUpAlone(databaseUrl: string, folder: string, source: Parameters<typeof backedUp>[1]) {
  await using service = await startService({ databaseUrl, folder })
  return await backedUp(service, source, folder)
}
