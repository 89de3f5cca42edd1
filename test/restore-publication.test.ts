import { join } from 'node:path'
import { eq } from 'drizzle-orm'
import { describe, expect } from 'vitest'
import type { Cluster } from '../src/cluster/start.ts'
import { connectDatabase, type Database } from '../src/database/connect.ts'
import { jobs } from '../src/database/tables/job.ts'
import { restoreReportOf } from '../src/restore/restore.ts'
import { openSecretBox } from '../src/secret/secret-box.ts'
import { backedUp, databasesOf, startRestore } from './kit/backed-up.ts'
import { connect, run } from './kit/engine.ts'
import { endOf, startService } from './kit/protected-server.ts'
import { startServiceProcess } from './kit/service-process.ts'
import { sourceServer } from './kit/source-server.ts'
import { test } from './kit/test.ts'
import { waitFor } from './kit/wait-for.ts'

const databases = [
  { name: 'first', targetName: 'one' },
  { name: 'second', targetName: 'two' },
]

/** The one thing that an undisturbed restore warns of. */
const without =
  'Role "clerk" was created without BYPASSRLS: no restore gives it; a superuser may: ALTER ROLE "clerk" BYPASSRLS'

async function twoDatabases(): Promise<Cluster> {
  const source = await sourceServer()
  await run(source, 'postgres', 'create role clerk bypassrls')
  for (const { name } of databases) {
    await run(source, 'postgres', `create database ${name}`)
    await run(source, name, 'create table t as select generate_series(1, 9) as i; alter table t owner to clerk')
  }
  return source
}

/** Both targets are there, empty. */
async function emptyTargets(): Promise<Cluster> {
  const target = await sourceServer()
  for (const { targetName } of databases) await run(target, 'postgres', `create database ${targetName}`)
  return target
}

/**
 * Connects to the second target when a restore has begun: its checks are over, and it waits for a role that somebody is about
 * to create. Until this connection ends, the target cannot be renamed.
 */
async function usedMeanwhile(target: Cluster, starting: () => Promise<void>) {
  await using other = connect(target)
  await other.unsafe('begin; create role clerk')
  await starting()
  await using watcher = connect(target)
  await waitFor(
    'a restore that waits for the role',
    async () => {
      const [row] = await watcher`select count(*)::int as waiting from pg_stat_activity where wait_event_type = 'Lock'`
      return row?.waiting > 0
    },
    { withinMs: 60_000 },
  )
  const user = connect(target, 'two')
  await user`select 1`
  await other.unsafe('rollback')
  return user
}

async function untilKept(database: Database, jobId: string): Promise<void> {
  await waitFor('everything restored and written down', async () => {
    const [job] = await database.select({ kept: jobs.kept }).from(jobs).where(eq(jobs.id, jobId))
    return JSON.stringify(job?.kept ?? null).includes('publications')
  })
}

describe('restored databases', { timeout: 120_000 }, () => {
  test('get their names all together, or none of them does', async ({ databaseUrl, folder }) => {
    await using source = await twoDatabases()
    await using target = await emptyTargets()
    await using service = await startService({ databaseUrl, folder })
    const point = await backedUp(service, source, folder)
    const started = Promise.withResolvers<string>()
    await using _user = await usedMeanwhile(target, async () => {
      started.resolve((await startRestore(service, { point, target, databases })).id)
    })
    const ended = await service.ended(await started.promise, { withinMs: 90_000 })
    const stays = 'Roles that were created for the restore are still there: clerk.'
    expect(ended).toMatchObject({ status: 'FAILED', error: { code: 'TARGET_IN_USE' }, warnings: [without, stays] })
    expect(ended.error?.details).toContain('Target database "two" is in use')
    expect(await databasesOf(target)).toEqual(['one', 'two'])
    expect(await run(target, 'one', "select count(*)::int from pg_class where relname = 't'")).toEqual([{ count: 0 }])
  })

  test('whose worker dies before they have their names are restored again, and every role made is told', async ({
    databaseUrl,
    database,
    folder,
  }) => {
    await using source = await twoDatabases()
    await using target = await emptyTargets()
    const { job, keyFile } = await prepared(databaseUrl, folder, source, target)
    await using processes = new AsyncDisposableStack()
    const start = async () => processes.use(await startServiceProcess({ databaseUrl, folder, keyFile }))
    const starting = Promise.withResolvers<Awaited<ReturnType<typeof start>>>()
    const user = await usedMeanwhile(target, async () => starting.resolve(await start()))
    const doomed = await starting.promise
    await waitFor('the first target to be moved aside', async () => !(await databasesOf(target)).includes('one'), {
      withinMs: 40_000,
    })
    await doomed.kill()
    await user.end()
    await using _heir = await startServiceProcess({ databaseUrl, folder, keyFile })
    const ended = await endOf(database, job.id, { withinMs: 60_000 })
    expect(ended).toMatchObject({ attempt: 2, error: null, status: 'COMPLETED_WITH_WARNINGS', warnings: [without] })
    expect(restoreReportOf(ended)).toMatchObject({ rolesCreated: ['clerk'], omitted: [without] })
    expect(await databasesOf(target)).toEqual(['one', 'two'])
    expect(await run(target, 'two', 'select count(*)::int from t')).toEqual([{ count: 9 }])
  })

  test('whose worker dies when it has just made roles tell what those lack in the next attempt', async ({
    databaseUrl,
    database,
    folder,
  }) => {
    await using source = await twoDatabases()
    await using target = await sourceServer()
    const { job, keyFile } = await prepared(databaseUrl, folder, source, target)
    await using processes = new AsyncDisposableStack()
    await using other = connect(target)
    await other.unsafe('begin; create role clerk')
    const doomed = processes.use(await startServiceProcess({ databaseUrl, folder, keyFile }))
    const sessions = (condition: string) =>
      run(target, 'postgres', `select from pg_stat_activity where application_name = 'holdfast' and ${condition}`)
    await waitFor('a restore that waits for the role', async () => {
      return (await sessions(`wait_event_type = 'Lock'`)).length > 0
    })
    // Nothing more can be written down of the job while this transaction lasts.
    await database.transaction(async (tx) => {
      await tx.select({ id: jobs.id }).from(jobs).where(eq(jobs.id, job.id)).for('update')
      await other.unsafe('rollback')
      await waitFor('the role, or a transaction that has made it', async () => {
        const made = await run(target, 'postgres', `select from pg_roles where rolname = 'clerk'`)
        const making = await sessions(`state = 'idle in transaction' and xact_start < now() - interval '1 second'`)
        return made.length + making.length > 0
      })
      await doomed.kill()
      await waitFor('the worker to be gone', () => isGone(doomed.pid))
      await tx.execute(
        `select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`,
      )
    })
    await using _heir = await startServiceProcess({ databaseUrl, folder, keyFile })
    const ended = await endOf(database, job.id, { withinMs: 60_000 })
    expect(ended).toMatchObject({ attempt: 2, error: null, status: 'COMPLETED_WITH_WARNINGS', warnings: [without] })
    expect(restoreReportOf(ended)).toMatchObject({ rolesCreated: ['clerk'], omitted: [without] })
  })

  test('whose worker dies after they got their names are known as its own: the next attempt completes', async ({
    databaseUrl,
    database,
    folder,
  }) => {
    await using source = await twoDatabases()
    await using target = await emptyTargets()
    const { job, keyFile } = await prepared(databaseUrl, folder, source, target)
    await using processes = new AsyncDisposableStack()
    const start = async () =>
      processes.use(await startServiceProcess({ databaseUrl, folder, keyFile, leaseSeconds: 20 }))
    const starting = Promise.withResolvers<Awaited<ReturnType<typeof start>>>()
    const user = await usedMeanwhile(target, async () => starting.resolve(await start()))
    const doomed = await starting.promise
    await untilKept(database, job.id)
    const settle = Promise.withResolvers<void>()
    // Whoever would settle the job waits for this transaction.
    const held = database.transaction(async (tx) => {
      await tx.select({ id: jobs.id }).from(jobs).where(eq(jobs.id, job.id)).for('update')
      await user.end()
      await waitFor('the databases under their names', async () => {
        const rows = await run(target, 'postgres', `select count(*)::int from pg_database where datname ~ '^holdfast'`)
        return rows[0]?.count === 0
      })
      await doomed.kill()
      await settle.promise
    })
    await waitFor('the worker to be gone', () => isGone(doomed.pid))
    settle.resolve()
    await held
    await run(target, 'one', 'insert into t values (10)')
    await using _heir = await startServiceProcess({ databaseUrl, folder, keyFile })
    const ended = await endOf(database, job.id, { withinMs: 60_000 })
    expect(ended).toMatchObject({ attempt: 2, error: null, status: 'COMPLETED_WITH_WARNINGS', warnings: [without] })
    expect(restoreReportOf(ended)).toMatchObject({
      rolesCreated: ['clerk'],
      databases: [
        { targetName: 'one', rowCount: 9 },
        { targetName: 'two', rowCount: 9 },
      ],
    })
    expect(await databasesOf(target)).toEqual(['one', 'two'])
    expect(await run(target, 'one', 'select count(*)::int from t')).toEqual([{ count: 10 }])
  })
})

/** A restore that waits for a worker. */
async function prepared(databaseUrl: string, folder: string, source: Cluster, target: Cluster) {
  const point = await backedUpAlone(databaseUrl, folder, source)
  const keyFile = join(folder, 'secret.key')
  await using connection = connectDatabase(databaseUrl)
  const service = { database: connection.database, secrets: await openSecretBox(keyFile) }
  return { job: await startRestore(service, { point, target, databases }), keyFile }
}

async function backedUpAlone(databaseUrl: string, folder: string, source: Cluster) {
  await using service = await startService({ databaseUrl, folder })
  return await backedUp(service, source, folder)
}

function isGone(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return false
  } catch {
    return true
  }
}
