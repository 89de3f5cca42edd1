import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect } from 'vitest'
import { type Cluster, startCluster } from '../src/cluster/start.ts'
import { backUpNow } from '../src/instance/back-up-now.ts'
import { deleteBackupInstance } from '../src/instance/delete-backup-instance.ts'
import { requestCancel } from '../src/job/cancel.ts'
import { findJobs } from '../src/job/find.ts'
import { findPointsBeingRead } from '../src/recovery-point/find.ts'
import { validateRestore } from '../src/restore/validate.ts'
import { restoreValidationOf } from '../src/restore/validation.ts'
import { connect, run } from './kit/engine.ts'
import { findRecoveryPointsOf } from './kit/points.ts'
import { installedMajor, password, programsOf, superuser } from './kit/postgres-programs.ts'
import { actor, endOf, protect, register, type Service, startService } from './kit/protected-server.ts'
import { startServiceProcess } from './kit/service-process.ts'
import { sourceServer } from './kit/source-server.ts'
import { test } from './kit/test.ts'
import { intoServer, linesOf, problemLines, validated } from './kit/validation.ts'
import { waitFor } from './kit/wait-for.ts'

const now = () => new Date()

/** A server with a database whose locale no other server's catalogues tell of: it has to be tried. */
async function germanServer(): Promise<Cluster> {
  const source = await sourceServer()
  await run(
    source,
    'postgres',
    `create database german template template0 encoding 'LATIN1' locale_provider icu icu_locale 'de-DE'
      lc_collate 'C' lc_ctype 'C'`,
  )
  return source
}

async function backedUp(service: Service, source: Cluster, folder: string) {
  const made = await protect(service, source, folder)
  const job = await backUpNow(service.database, { instanceId: made.instance.id, actor, now: now() })
  expect(await service.ended(job.id)).toMatchObject({ status: 'COMPLETED', error: null })
  const [point] = await findRecoveryPointsOf(service.database, made.instance.id)
  if (!point) throw new Error('no recovery point')
  return { ...made, point }
}

async function databasesOf(cluster: Cluster): Promise<unknown[]> {
  return (await run(cluster, 'postgres', 'select datname from pg_database order by 1')).map(({ datname }) => datname)
}

const asNew = ['postgres', 'template0', 'template1']

/** Whoever makes a database there waits for seconds, as long as somebody is connected to the template. */
async function holdUpCreation(target: Cluster): Promise<AsyncDisposable> {
  await run(target, 'postgres', 'alter database template0 allow_connections true')
  const session = connect(target, 'template0')
  await session`select 1`
  return session
}

async function isCreating(target: Cluster): Promise<boolean> {
  const rows = await run(
    target,
    'postgres',
    `select from pg_stat_activity where query ilike 'create database "holdfast%' and state = 'active'`,
  )
  return rows.length > 0
}

describe('a validation that is in the middle of trying a locale', { timeout: 90_000 }, () => {
  test('leaves nothing when it is cancelled', async ({ databaseUrl, folder }) => {
    await using source = await germanServer()
    await using target = await sourceServer()
    await using service = await startService({ databaseUrl, folder })
    const { point } = await backedUp(service, source, folder)
    const server = await register(service, target)
    await using _session = await holdUpCreation(target)
    const input = { recoveryPointId: point.id, target: intoServer(server.id), actor, now: now() }
    const job = await validateRestore(service.database, input)
    await waitFor('the trial', () => isCreating(target))
    await requestCancel(service.database, { jobId: job.id, actor, now: now() })
    expect(await service.ended(job.id)).toMatchObject({ status: 'CANCELLED', error: null, result: null })
    await waitFor('the end of the trial', async () => !(await isCreating(target)))
    expect(await databasesOf(target)).toEqual(asNew)
  })

  test('is made anew when its worker is killed, and what the first had made is gone', async ({
    databaseUrl,
    database,
    folder,
  }) => {
    await using source = await germanServer()
    await using target = await sourceServer()
    const { point, server } = await (async () => {
      await using service = await startService({ databaseUrl, folder })
      const { point: made } = await backedUp(service, source, folder)
      return { point: made, server: await register(service, target) }
    })()
    const keyFile = join(folder, 'secret.key')
    await using doomed = await startServiceProcess({ databaseUrl, folder, keyFile })
    const leftover = await (async () => {
      await using _session = await holdUpCreation(target)
      const input = { recoveryPointId: point.id, target: intoServer(server.id), actor, now: now() }
      const { id } = await validateRestore(database, input)
      await waitFor('the trial', () => isCreating(target))
      await doomed.kill()
      return { jobId: id, name: `holdfast_restoring_${id.replaceAll('-', '').slice(0, 20)}_1_probe` }
    })()
    await waitFor('the end of the trial', async () => !(await isCreating(target)))
    // Whether its server finished what a dead client had asked for is a matter of moments: here it has.
    const isLeft = (await databasesOf(target)).includes(leftover.name)
    if (!isLeft) await run(target, 'postgres', `create database ${leftover.name}`)
    await using _heir = await startServiceProcess({ databaseUrl, folder, keyFile })
    const ended = await endOf(database, leftover.jobId)
    expect(ended).toMatchObject({ status: 'COMPLETED', attempt: 2, error: null })
    const report = restoreValidationOf(ended)
    expect(report?.isRestorable).toBe(true)
    expect(report && linesOf(report, 'LOCALE')).toEqual(['PASSED german'])
    expect(await databasesOf(target)).toEqual(asNew)
  })
})

test('a standby takes no restore, and is told from one that does', async ({ databaseUrl, folder }) => {
  await using source = await germanServer()
  const primary = await sourceServer()
  await primary.stop('fast')
  // It must be able to sync the file, whoever it runs as.
  await writeFile(join(primary.dataDir, 'standby.signal'), '', { mode: 0o666 })
  const binDir = await programsOf(await installedMajor())
  const options = { binDir, dataDir: primary.dataDir, superuser, password, settings: { hot_standby: 'on' } }
  await using standby = await startCluster(options)
  await using service = await startService({ databaseUrl, folder })
  const { point } = await backedUp(service, source, folder)
  const server = await register(service, standby)
  const { report } = await validated(service, point, intoServer(server.id))
  expect(problemLines(report)).toEqual(['WRITABLE TARGET_READ_ONLY server'])
  expect(linesOf(report, 'LOCALE')).toEqual(['SKIPPED german'])
  await standby.stop('immediate')
  await primary[Symbol.asyncDispose]()
})

test('a validation that waits keeps its point from being removed, and goes with a deleted instance', async ({
  databaseUrl,
  database,
  folder,
  source,
}) => {
  const { point, instance } = await (async () => {
    await using service = await startService({ databaseUrl, folder })
    return await backedUp(service, source, folder)
  })()
  const target = {
    kind: 'FILES',
    target: { kind: 'DIRECTORY', path: join(folder, 'restored') },
    databases: null,
  } as const
  const { id } = await validateRestore(database, { recoveryPointId: point.id, target, actor, now: now() })
  expect([...(await findPointsBeingRead(database, [point.id]))]).toEqual([point.id])
  const why = { reason: null, comment: null, dryRun: false, actor, now: now() }
  await deleteBackupInstance(database, { instanceId: instance.id, confirmName: instance.name, ...why })
  expect((await findJobs(database, [id])).get(id)?.status).toBe('CANCELLED')
})
