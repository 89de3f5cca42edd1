import { describe, expect } from 'vitest'
import type { Cluster } from '../src/cluster/start.ts'
import type { Publication } from '../src/engine/publication.ts'
import { publishRestores } from '../src/engine/publish-restore.ts'
import { type OwnRestores, settleRestores } from '../src/engine/settle-restores.ts'
import { type StagedDatabase, stageRestore } from '../src/engine/stage-restore.ts'
import {
  addressOf,
  archiveOf,
  connect,
  createDatabase,
  failureOf,
  installedTools,
  never,
  run,
  streamOf,
} from './kit/engine.ts'
import { startProxy } from './kit/proxy.ts'
import { sourceServer } from './kit/source-server.ts'
import { test } from './kit/test.ts'
import { waitFor } from './kit/wait-for.ts'

const targetNames = ['one', 'two']

/** A server with an archive of its own restored for two targets, by the first attempt at a job. */
async function restoredTwice(server: Cluster): Promise<StagedDatabase[]> {
  const archive = await archiveOf(server, await createDatabase(server, 'create table t as select 1 as i', 'origin'))
  const tools = await installedTools()
  const staged: StagedDatabase[] = []
  for (const [index, targetName] of targetNames.entries()) {
    const request = { source: archive.source, targetName, token: `job_1_${index}`, tools, signal: never }
    staged.push(
      await stageRestore(addressOf(server), { ...request, ownership: 'NONE', archive: streamOf(archive.bytes) }),
    )
  }
  return staged
}

function publicationsOf(staged: readonly StagedDatabase[]): Publication[] {
  return staged.map(({ publication }) => publication)
}

/** What a later attempt at the job knows of all those before it. */
function laterAttempt(publications: readonly Publication[]): OwnRestores {
  return {
    isOwn: (token) => token.startsWith('job_'),
    targetOf: (token) => targetNames[Number(token.at(-1))],
    targetNames,
    publications,
  }
}

async function emptyTargets(server: Cluster): Promise<void> {
  for (const name of targetNames) {
    await createDatabase(server, '', name)
    await run(server, 'postgres', `comment on database ${name} is 'as it was'`)
  }
}

async function commentsOf(server: Cluster): Promise<[string, string | null][]> {
  const rows = await run(
    server,
    'postgres',
    `select datname as name, shobj_description(oid, 'pg_database') as comment from pg_database
     where datname not in ('origin', 'postgres', 'template0', 'template1') order by 1`,
  )
  return rows.map(({ name, comment }) => [name, comment])
}

const asTheyWere = targetNames.map((name) => [name, 'as it was'])

async function isWaiting(server: Cluster, query: string, event: string): Promise<boolean> {
  await using sql = connect(server)
  const rows = await sql`
    select from pg_stat_activity where starts_with(query, ${query}) and wait_event_type || ' ' || wait_event ~ ${event}`
  return rows.length > 0
}

describe('Restored databases whose worker is taken for lost', { timeout: 120_000 }, () => {
  test('get no names any more once a later attempt has looked, and the targets are as they were', async () => {
    await using server = await sourceServer()
    await emptyTargets(server)
    const staged = await restoredTwice(server)
    const settled = await settleRestores(addressOf(server), laterAttempt(publicationsOf(staged)))
    expect(settled).toMatchObject({ isPublished: false, gone: [], kept: [] })
    expect((await failureOf(publishRestores(addressOf(server), publicationsOf(staged), { signal: never }))).code).toBe(
      'DATABASE_MISSING',
    )
    expect(await commentsOf(server)).toEqual(asTheyWere)
  })

  test('are waited for while they are being renamed, and known to have their names', async () => {
    await using server = await sourceServer()
    const staged = await restoredTwice(server)
    await using late = connect(server)
    await late.unsafe('begin')
    for (const { temporaryName, publication } of staged) {
      await late.unsafe(`alter database ${temporaryName} rename to ${publication.targetName}`)
    }
    const settling = settleRestores(addressOf(server), laterAttempt(publicationsOf(staged)))
    await waitFor('the later attempt to wait', () => isWaiting(server, 'drop database', 'Lock'))
    await late.unsafe('commit')
    expect(await settling).toMatchObject({ isPublished: true, kept: [] })
    expect((await commentsOf(server)).map(([name]) => name)).toEqual(targetNames)
  })

  test('never cost a target that they moved aside its database, whenever that was', async () => {
    await using server = await sourceServer()
    await emptyTargets(server)
    const staged = await restoredTwice(server)
    const own = laterAttempt(publicationsOf(staged))
    await run(server, 'postgres', 'alter database one rename to holdfast_replaced_job_1_0')
    await settleRestores(addressOf(server), own)
    expect(await commentsOf(server)).toEqual(asTheyWere)
    // The look is over, and only now the late worker goes on.
    await run(server, 'postgres', 'alter database two rename to holdfast_replaced_job_1_1')
    await settleRestores(addressOf(server), { ...own, publications: [] })
    expect(await commentsOf(server)).toEqual(asTheyWere)
    await createDatabase(server, '', 'holdfast_replaced_job_1_0')
    await run(server, 'postgres', 'alter database one rename to holdfast_replaced_job_0_0')
    await settleRestores(addressOf(server), own)
    expect(await commentsOf(server)).toEqual(asTheyWere)
  })

  test('are not taken for published because another database has their number', async () => {
    await using server = await sourceServer()
    const staged = await restoredTwice(server)
    await createDatabase(server, '', 'app')
    const [app] = await run(
      server,
      'postgres',
      `select oid::int8::float8 as oid from pg_database where datname = 'app'`,
    )
    const moved = publicationsOf(staged).map((each) => ({ ...each, oid: app?.oid ?? 0 }))
    const elsewhere = moved.map((each) => ({ ...each, systemIdentifier: '1' }))
    const unknown = moved.map((each) => ({ ...each, systemIdentifier: null }))
    for (const publications of [elsewhere, unknown]) {
      expect(await settleRestores(addressOf(server), laterAttempt(publications))).toMatchObject({ isPublished: false })
    }
    expect(await settleRestores(addressOf(server), laterAttempt(moved))).toMatchObject({ isPublished: true })
  })
})

describe('Publishing through a connection that breaks', { timeout: 120_000 }, () => {
  test('gives targets that were moved aside their names back when the server is there again', async () => {
    await using server = await sourceServer()
    await emptyTargets(server)
    const staged = await restoredTwice(server)
    await using proxy = await startProxy(`postgres://${server.host}:${server.port}`)
    await using user = connect(server, 'two')
    await user`select 1`
    const address = addressOf(server, { port: Number(new URL(proxy.url).port) })
    const publishing = failureOf(publishRestores(address, publicationsOf(staged), { signal: never }))
    await waitFor('the first target to be moved aside', async () =>
      (await commentsOf(server)).some(([name]) => name === 'holdfast_replaced_job_1_0'),
    )
    proxy.cut()
    await waitFor('the renaming to have ended', async () => !(await isWaiting(server, 'alter database', '')))
    await user.end()
    await proxy.heal()
    expect((await publishing).code).toMatch(/^(CONNECTION_LOST|SERVER_UNREACHABLE)$/)
    expect(await commentsOf(server)).toEqual(asTheyWere)
  })

  test('is known to have been done when the answer of the commit alone is lost', async () => {
    await using server = await sourceServer()
    const staged = await restoredTwice(server)
    await using proxy = await startProxy(`postgres://${server.host}:${server.port}`)
    await using holder = connect(server)
    await holder.unsafe(`begin; comment on database ${staged[1]?.temporaryName} is 'held'`)
    const address = addressOf(server, { port: Number(new URL(proxy.url).port) })
    const publishing = publishRestores(address, publicationsOf(staged), { signal: never })
    await waitFor('the renaming', () => isWaiting(server, 'alter database', 'Lock'))
    // From here on a commit waits for a standby that never comes.
    await run(server, 'postgres', `alter system set synchronous_standby_names = 'nobody'`)
    await run(server, 'postgres', 'select pg_reload_conf()')
    await holder.unsafe('rollback')
    await waitFor('the commit', () => isWaiting(server, 'commit', 'SyncRep'))
    proxy.cut()
    await proxy.heal()
    await waitFor('the look for what was done', () => isWaiting(server, 'drop database', 'Lock'))
    await run(server, 'postgres', 'alter system reset synchronous_standby_names')
    await run(server, 'postgres', 'select pg_reload_conf()')
    expect(await publishing).toEqual([])
    expect((await commentsOf(server)).map(([name]) => name)).toEqual(targetNames)
    expect(await run(server, 'two', 'select i from t')).toEqual([{ i: 1 }])
  })
})

describe('A target that was moved aside', { timeout: 120_000 }, () => {
  test('stays when somebody has put something into it, or is at work in it, and it is told', async () => {
    await using server = await sourceServer()
    await emptyTargets(server)
    const staged = await restoredTwice(server)
    await using holder = connect(server)
    await holder.unsafe(`begin; comment on database ${staged[1]?.temporaryName} is 'held'`)
    const publishing = publishRestores(addressOf(server), publicationsOf(staged), { signal: never })
    await waitFor('the renaming', () => isWaiting(server, 'alter database', 'Lock'))
    const [filled, used] = ['holdfast_replaced_job_1_0', 'holdfast_replaced_job_1_1'] as const
    await run(server, filled, 'create table kept (i int)')
    await using user = connect(server, used)
    await user.unsafe('begin; create table begun (i int)')
    await holder.unsafe('rollback')
    expect(await publishing).toEqual([
      { name: filled, holds: ['relation kept'] },
      { name: used, holds: [] },
    ])
    const settle = () => settleRestores(addressOf(server), laterAttempt(publicationsOf(staged)))
    // Whoever takes the restore up then leaves them where they are, too.
    expect(await settle()).toMatchObject({ isPublished: true, kept: [filled, used] })
    await user.unsafe('commit')
    expect((await commentsOf(server)).map(([name]) => name)).toEqual([filled, used, ...targetNames])
    expect(await settle()).toMatchObject({ isPublished: true, kept: [filled, used] })
  })
})

describe('A restored database that somebody looks into', { timeout: 120_000 }, () => {
  test('gets its name all the same, and lets everybody in then', async () => {
    await using server = await sourceServer()
    const staged = await restoredTwice(server)
    await using monitor = connect(server, staged[0]?.temporaryName ?? '')
    await monitor`select 1`
    expect(await publishRestores(addressOf(server), publicationsOf(staged), { signal: never })).toEqual([])
    expect(await run(server, 'one', 'select i from t')).toEqual([{ i: 1 }])
  })

  test('as a target does not lose the restore for a moment of that', async () => {
    await using server = await sourceServer()
    await emptyTargets(server)
    const staged = await restoredTwice(server)
    await using monitor = connect(server, 'two')
    await monitor`select 1`
    const publishing = publishRestores(addressOf(server), publicationsOf(staged), { signal: never })
    // Once is longer than PostgreSQL itself waits.
    const tries = new Set<number>()
    await waitFor(
      'a second try',
      async () => {
        const rows = await run(
          server,
          'postgres',
          `select pid from pg_stat_activity where starts_with(query, 'alter database "two"') and application_name = 'holdfast'`,
        )
        for (const { pid } of rows) tries.add(pid)
        return tries.size > 1
      },
      { withinMs: 20_000 },
    )
    await monitor.end()
    expect(await publishing).toEqual([])
    expect(await run(server, 'two', 'select i from t')).toEqual([{ i: 1 }])
  })
})
