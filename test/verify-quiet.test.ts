import { describe, expect } from 'vitest'
import { openPoint } from '../src/worker/point/read-point.ts'
import { drain } from '../src/worker/streams.ts'
import { verifyHandler } from '../src/worker/verify/verify.ts'
import { createDatabase, never } from './kit/engine.ts'
import { startService } from './kit/protected-server.ts'
import { test } from './kit/test.ts'
import { artifactsOf, assert, backedUp, flipBit, verify } from './kit/verify.ts'

describe('a verification', { timeout: 120_000 }, () => {
  test('may be quiet no longer than any other job, and is not while its scratch server works', async ({
    databaseUrl,
    folder,
    source,
  }) => {
    await using service = await startService({ databaseUrl, folder }, { noProgressMs: 15_000 })
    expect(verifyHandler(service.context).stallMs).toBe(15_000)
    const name = await createDatabase(source, 'create table t as select 1 as id')
    const made = await backedUp(service, source, folder)
    await assert(service, made, name, { slow: 'select pg_sleep(30) is not null' })
    expect(await verify(service, made.point, 'RESTORED')).toMatchObject({ status: 'COMPLETED', error: null })
  })

  test('is not lost to the list of what the point holds', async ({ databaseUrl, folder, source }) => {
    await using service = await startService({ databaseUrl, folder })
    const made = await backedUp(service, source, folder)
    await service.database.execute('delete from recovery_point_contents')
    await service.database.execute('alter table recovery_point_contents rename to elsewhere')
    const ended = await verify(service, made.point, 'DECODED')
    expect(ended).toMatchObject({ status: 'COMPLETED_WITH_WARNINGS', error: null })
    expect(ended.warnings.join()).toContain('did not take the list')
    await service.database.execute('alter table elsewhere rename to recovery_point_contents')
  })

  test('tells of what it reads a second time, to be certain of damage', async ({ databaseUrl, folder, source }) => {
    await using service = await startService({ databaseUrl, folder })
    await createDatabase(source, 'create table t as select md5(i::text) from generate_series(1, 50000) i')
    const made = await backedUp(service, source, folder)
    const files = await artifactsOf(made)
    for (const file of files) await flipBit(file)
    const opened = await openPoint(service.context, { point: made.point, vault: made.vault, signal: never })
    for (const artifact of opened.manifest.artifacts.filter(({ kind }) => kind === 'DATABASE')) {
      const heard: number[] = []
      const look = { signal: never, onBytes: (total: number) => void heard.push(total) }
      await expect(opened.prove(artifact, look, drain)).rejects.toMatchObject({ code: 'ARTIFACT_DAMAGED' })
      expect(heard.filter((total) => total === artifact.digest.storedBytes).length).toBeGreaterThan(0)
      expect(heard.some((total, at) => total <= (heard[at - 1] ?? 0))).toBe(true)
    }
  })
})
