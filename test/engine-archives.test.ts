import { join } from 'node:path'
import { Readable } from 'node:stream'
import { describe, expect } from 'vitest'
import { type Cluster, startCluster } from '../src/cluster/start.ts'
import { decodeArchive } from '../src/engine/decode-archive.ts'
import { restoreDatabase } from '../src/engine/restore.ts'
import { type OwnRestores, settleRestores } from '../src/engine/settle-restores.ts'
import { stageRestore } from '../src/engine/stage-restore.ts'
import {
  type Archive,
  addressOf,
  archiveOf,
  createDatabase,
  failureOf,
  installedTools,
  never,
  processesWith,
  run,
  streamOf,
} from './kit/engine.ts'
import { installedMajor, programsOf } from './kit/postgres-programs.ts'
import { test } from './kit/test.ts'
import { within } from './kit/wait-for.ts'

const contents = `
  create table numbers as select n, md5(n::text) as hash from generate_series(1, 20000) n;
  select lo_from_bytea(0, decode(repeat('00ff', 5000), 'hex'))`

async function databaseNames(cluster: Cluster): Promise<string[]> {
  const rows = await run(cluster, 'postgres', 'select datname as name from pg_database order by 1')
  return rows.map((row) => row.name)
}

async function requestFor({ source }: Archive, targetName: string, token: string) {
  const tools = await installedTools()
  return { source, targetName, token, tools, ownership: 'NONE', signal: never } as const
}

describe('An archive', () => {
  test('is decoded whole, to the last byte of its stream', async ({ source }) => {
    const { bytes } = await archiveOf(source, await createDatabase(source, contents))
    const archive = streamOf(bytes)
    await decodeArchive(await installedTools(), archive, { signal: never })
    expect(archive.readableEnded).toBe(true)
  })

  test('is found unreadable when it is cut or is something else', async ({ source }) => {
    const { bytes } = await archiveOf(source, await createDatabase(source, contents))
    const tools = await installedTools()
    const broken = [
      bytes.subarray(0, -1),
      bytes.subarray(0, Math.floor(bytes.length * 0.6)),
      bytes.subarray(0, 40),
      Buffer.alloc(0),
      Buffer.from('this is not an archive, but it is long enough to be looked at by pg_restore'),
      Buffer.concat([Buffer.from('PGDMP'), bytes.subarray(100)]),
    ]
    for (const each of broken) {
      const failure = await failureOf(decodeArchive(tools, streamOf(each), { signal: never }))
      expect(failure.code).toBe('ARCHIVE_UNREADABLE')
    }
  })

  test('fails with the error of its stream, also when that comes after its last byte', async ({ source }) => {
    const { bytes } = await archiveOf(source, await createDatabase(source, contents))
    const damaged = new Error('the digest differs')
    const tools = await installedTools()
    const failing = () =>
      Readable.from(
        (async function* () {
          yield bytes
          throw damaged
        })(),
        { objectMode: false },
      )
    await expect(decodeArchive(tools, failing(), { signal: never })).rejects.toBe(damaged)
    const archive = await archiveOf(source, await createDatabase(source))
    const request = await requestFor(archive, 'never there', 'late')
    await expect(restoreDatabase(addressOf(source), { ...request, archive: failing() })).rejects.toBe(damaged)
    expect(await databaseNames(source)).not.toContain('never there')
  })
})

describe('A restore that fails', () => {
  test('of a cut archive leaves nothing', async ({ source }) => {
    const archive = await archiveOf(source, await createDatabase(source, contents))
    const before = await databaseNames(source)
    for (const share of [0.1, 0.6, 0.99]) {
      const cut = streamOf(archive.bytes.subarray(0, Math.floor(archive.bytes.length * share)))
      const request = await requestFor(archive, 'cut short', 'cut')
      const failure = await failureOf(restoreDatabase(addressOf(source), { ...request, archive: cut }))
      expect(failure.code).toBe('ARCHIVE_UNREADABLE')
    }
    expect(await databaseNames(source)).toEqual(before)
  })

  test('by its check leaves nothing, and the empty target as it was', async ({ source }) => {
    const archive = await archiveOf(source, await createDatabase(source, contents))
    const target = await createDatabase(source)
    const before = await databaseNames(source)
    const request = await requestFor(archive, target, 'check')
    const check = () => {
      throw new Error('rows differ')
    }
    const restore = restoreDatabase(addressOf(source), { ...request, archive: streamOf(archive.bytes), check })
    await expect(restore).rejects.toThrow('rows differ')
    expect(await databaseNames(source)).toEqual(before)
  })

  test('because something cannot be made says what, and leaves nothing', async ({ source }) => {
    await run(source, 'postgres', 'create role passing')
    const database = await createDatabase(source, 'create table t (id int); alter table t owner to passing')
    const archive = await archiveOf(source, database)
    await run(source, database, 'alter table t owner to current_user; drop role passing')
    const before = await databaseNames(source)
    const request = { ...(await requestFor(archive, 'no role', 'role')), ownership: 'KEEP' } as const
    const failure = await failureOf(
      restoreDatabase(addressOf(source), { ...request, archive: streamOf(archive.bytes) }),
    )
    expect(failure.code).toBe('ROLE_MISSING')
    expect(failure.message).toContain('passing')
    expect(await databaseNames(source)).toEqual(before)
  })

  test('refuses a locale, an extension and an owner that the server does not have, by name', async ({ source }) => {
    const archive = await archiveOf(source, await createDatabase(source))
    const before = await databaseNames(source)
    const cases = [
      ['LOCALE_MISSING', 'xx_XX.UTF-8', { collate: 'xx_XX.UTF-8', ctype: 'xx_XX.UTF-8' }],
      ['LOCALE_MISSING', 'PostgreSQL 17', { localeProvider: 'BUILTIN', locale: 'C.UTF-8' }],
      ['EXTENSION_MISSING', 'teleport', { extensions: [{ name: 'teleport', version: '1', schema: 'public' }] }],
      ['ROLE_MISSING', 'nobody here', { ownerName: 'nobody here' }],
    ] as const
    for (const [code, word, changes] of cases) {
      const request = { ...(await requestFor(archive, 'refused', 'refused')), ownership: 'KEEP' } as const
      const changed = {
        ...archive.source,
        ...changes,
        extensions: [...('extensions' in changes ? changes.extensions : [])],
      }
      const failure = await failureOf(
        restoreDatabase(addressOf(source), { ...request, source: changed, archive: streamOf(archive.bytes) }),
      )
      expect(failure.code).toBe(code)
      expect(failure.message).toContain(word)
    }
    expect(await databaseNames(source)).toEqual(before)
  })

  test('by an abort leaves neither database nor process', async ({ source }) => {
    const archive = await archiveOf(source, await createDatabase(source, contents))
    const before = await databaseNames(source)
    const abort = new AbortController()
    const endless = Readable.from(
      (async function* () {
        yield archive.bytes.subarray(0, archive.bytes.length >> 1)
        abort.abort(new Error('cancelled by the operator'))
        await new Promise(() => {})
      })(),
      { objectMode: false },
    )
    const request = { ...(await requestFor(archive, 'cancelled', 'abort')), signal: abort.signal }
    const restore = restoreDatabase(addressOf(source), { ...request, archive: endless })
    await expect(within('the end of the restore', restore)).rejects.toThrow('cancelled by the operator')
    expect(await processesWith('holdfast_restoring_abort')).toEqual([])
    expect(await databaseNames(source)).toEqual(before)
  })
})

/** All attempts of a job, by what their tokens begin with, and its targets. */
function ownOf(prefix: string, targetNames: string[]): OwnRestores {
  return {
    isOwn: (token) => token.startsWith(prefix),
    targetOf: (token) => targetNames[Number(token.at(-1))],
    targetNames,
    publications: [],
  }
}

describe('What a killed restore leaves', () => {
  test('is found by its token and removed, and nothing else', async ({ source }) => {
    const archive = await archiveOf(source, await createDatabase(source, contents))
    const bytes = () => streamOf(archive.bytes)
    await stageRestore(addressOf(source), { ...(await requestFor(archive, 'x', 'job1_1_0')), archive: bytes() })
    await stageRestore(addressOf(source), { ...(await requestFor(archive, 'x', 'job2_1_0')), archive: bytes() })
    await createDatabase(source, '', 'holdfast_replaced_job1_1_0')
    await createDatabase(source, 'create table mine ()', 'holdfast_replaced_job1_1_1')
    await createDatabase(source, '', 'holdfast')
    await createDatabase(source, '', 'holdfast_replaced_job1_1_2')
    await createDatabase(source, '', 'one that is there')
    expect(await settleRestores(addressOf(source), ownOf('job1_', ['one that is there', 'gone', 'lost']))).toEqual({
      isPublished: false,
      gone: [],
      kept: [],
    })
    expect(await databaseNames(source)).toEqual(expect.arrayContaining(['gone', 'lost']))
    expect(await run(source, 'gone', 'select * from mine')).toEqual([])
    await createDatabase(source, 'create table mine ()', 'holdfast_replaced_job1_1_1')
    expect(await settleRestores(addressOf(source), ownOf('job1_', ['one that is there', 'gone']))).toMatchObject({
      kept: ['holdfast_replaced_job1_1_1'],
    })
    const left = (await databaseNames(source)).filter((name) => name.startsWith('holdfast'))
    expect(left).toEqual(['holdfast', 'holdfast_replaced_job1_1_1', 'holdfast_restoring_job2_1_0'])
  })
})

describe('A restore whose server goes away', () => {
  test('says that, and what it left is found when the server is back', async ({ source, folder }) => {
    const archive = await archiveOf(source, await createDatabase(source, contents))
    const binDir = await programsOf(await installedMajor())
    const options = { binDir, dataDir: join(folder, 'data'), superuser: source.superuser, password: source.password }
    const target = await startCluster(options)
    const dying = Readable.from(
      (async function* () {
        yield archive.bytes.subarray(0, archive.bytes.length >> 1)
        await target.stop('immediate')
        yield archive.bytes.subarray(archive.bytes.length >> 1)
      })(),
      { objectMode: false },
    )
    const request = await requestFor(archive, 'gone', 'job9_1_0')
    const failure = await failureOf(restoreDatabase(addressOf(target), { ...request, archive: dying }))
    expect(['CONNECTION_LOST', 'SERVER_NOT_ACCEPTING', 'SERVER_UNREACHABLE']).toContain(failure.code)
    expect(failure.details).toContain('holdfast_restoring_job9_1_0')
    await using again = await startCluster(options)
    expect(await databaseNames(again)).toContain('holdfast_restoring_job9_1_0')
    await settleRestores(addressOf(again), ownOf('job9_', ['gone']))
    expect(await databaseNames(again)).toEqual(['postgres', 'template0', 'template1'])
  })
})
