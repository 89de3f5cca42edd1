import { mkdir, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect } from 'vitest'
import { startCluster } from '../src/cluster/start.ts'
import { cancelJob } from '../src/instance/cancel-job.ts'
import { removeScratch, sweepScratch } from '../src/worker/verify/scratch-folder.ts'
import { createDatabase, processesWith } from './kit/engine.ts'
import { clusterTemplate, installedMajor, password, programsOf, superuser } from './kit/postgres-programs.ts'
import { actor, endOf, startService } from './kit/protected-server.ts'
import { startServiceProcess } from './kit/service-process.ts'
import { test } from './kit/test.ts'
import { assert, backedUp, pointNow, startVerification, verify } from './kit/verify.ts'
import { waitFor } from './kit/wait-for.ts'

/** Keeps a proof where all is restored and the assertions are asked. */
const endless = { endless: 'select pg_sleep(120) is null' }

async function untilAsked(scratch: string): Promise<void> {
  await waitFor(
    'the assertion to be asked',
    async () => {
      const [folder] = await readdir(scratch).catch(() => [])
      if (folder === undefined) return false
      return (await processesWith('holdfast_reader')).some(({ command }) => command.includes('SELECT'))
    },
    { withinMs: 120_000 },
  )
}

async function expectNothingLeft(scratch: string): Promise<void> {
  await waitFor('an empty scratch folder', async () => (await readdir(scratch)).length === 0, { withinMs: 120_000 })
  expect(await processesWith(scratch)).toEqual([])
}

describe('a proof that does not come to its end', { timeout: 400_000 }, () => {
  test('because it is cancelled leaves no server and no folder', async ({ databaseUrl, folder, source }) => {
    await using service = await startService({ databaseUrl, folder })
    const scratch = service.context.scratchDirectory
    const name = await createDatabase(source, 'create table t as select 1 as id')
    const made = await backedUp(service, source, folder)
    await assert(service, made, name, endless)
    const job = await startVerification(service, made.point, 'RESTORED')
    await untilAsked(scratch)
    await cancelJob(service.database, { jobId: job.id, actor, now: new Date() })
    expect(await service.ended(job.id)).toMatchObject({ status: 'CANCELLED' })
    await expectNothingLeft(scratch)
    expect(await pointNow(service, made.point)).toMatchObject({ state: 'AVAILABLE', proof: 'READ_BACK' })
  })

  test('because its worker is killed leaves a folder, which the next attempt sweeps, and no point is suspect', async ({
    databaseUrl,
    database,
    folder,
    source,
  }) => {
    const scratch = join(folder, 'scratch')
    const environment = { HOLDFAST_SCRATCH_DIR: scratch }
    const name = await createDatabase(source, 'create table t as select 1 as id')
    const made = await (async () => {
      await using service = await startService({ databaseUrl, folder })
      return await backedUp(service, source, folder)
    })()
    await assert({ database }, made, name, endless)
    const keyFile = join(folder, 'secret.key')
    await using doomed = await startServiceProcess({ databaseUrl, folder, keyFile, environment })
    const job = await startVerification({ database }, made.point, 'RESTORED')
    await untilAsked(scratch)
    await doomed.kill()
    await waitFor('the server to die with its worker', async () => (await processesWith(scratch)).length === 0, {
      withinMs: 30_000,
    })
    expect(await readdir(scratch)).toEqual([`${job.id}.1`])
    await assert({ database }, made, name, {})
    await using _heir = await startServiceProcess({ databaseUrl, folder, keyFile, environment })
    expect(await endOf(database, job.id, { withinMs: 120_000 })).toMatchObject({ status: 'COMPLETED', attempt: 2 })
    await expectNothingLeft(scratch)
    expect(await pointNow({ database }, made.point)).toMatchObject({ state: 'AVAILABLE', proof: 'RESTORED' })
  })

  test('whose folder cannot be removed holds up no verification after it', async ({ databaseUrl, folder, source }) => {
    await using service = await startService({ databaseUrl, folder })
    const scratch = service.context.scratchDirectory
    const made = await backedUp(service, source, folder)
    const { id } = await verify(service, made.point, 'READ_BACK')
    // No lock file can be removed that is a folder.
    const stuck = join(scratch, `${id}.1`, 'data', 'postmaster.pid')
    await mkdir(stuck, { recursive: true })
    expect(await sweepScratch(service.context, { of: id })).toBe(false)
    expect(await verify(service, made.point, 'DECODED')).toMatchObject({ status: 'COMPLETED', error: null })
    expect(service.logged()).toContain('A scratch folder could not be removed')
    expect(await readdir(scratch)).toEqual([`${id}.1`])
  })

  test('is swept with the server that still runs; what belongs to no job of the catalogue is let be', async ({
    databaseUrl,
    folder,
    source,
  }) => {
    await using service = await startService({ databaseUrl, folder })
    const scratch = service.context.scratchDirectory
    const made = await backedUp(service, source, folder)
    const { id } = await verify(service, made.point, 'READ_BACK')
    const left = join(scratch, `${id}.1`)
    await mkdir(left, { recursive: true })
    const stranger = `${crypto.randomUUID()}.1`
    await mkdir(join(scratch, stranger))
    await mkdir(join(scratch, 'notes'))
    const binDir = await programsOf(await installedMajor())
    const template = await clusterTemplate(binDir)
    const cluster = await startCluster({ binDir, dataDir: join(left, 'data'), superuser, password, template })
    await sweepScratch(service.context)
    await cluster.exited
    expect((await readdir(scratch)).toSorted()).toEqual([stranger, 'notes'].toSorted())
    expect(await processesWith(left)).toEqual([])
    await removeScratch(left)
  })
})
