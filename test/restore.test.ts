import { execFile } from 'node:child_process'
import { mkdir, open, readdir, readFile, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import postgres from 'postgres'
import { describe, expect } from 'vitest'
import type { Cluster } from '../src/cluster/start.ts'
import { backUpNow } from '../src/instance/back-up-now.ts'
import type { JobRow } from '../src/job/states.ts'
import { findRecoveryPoints } from '../src/recovery-point/find.ts'
import type { RecoveryPoint } from '../src/recovery-point/recovery-point.ts'
import { verifyRecoveryPoint } from '../src/recovery-point/verify.ts'
import { restoreAsFiles } from '../src/restore/as-files.ts'
import { RecoveryPointSuspect } from '../src/restore/refuse.ts'
import { restoreReportOf } from '../src/restore/restore.ts'
import { restoreToServer } from '../src/restore/to-server.ts'
import { findRecoveryPointsOf } from './kit/points.ts'
import { installedMajor, programsOf } from './kit/postgres-programs.ts'
import { actor, protect, register, runSql, type Service, startService } from './kit/protected-server.ts'
import { sourceServer } from './kit/source-server.ts'
import { test } from './kit/test.ts'

const run = promisify(execFile)
const now = () => new Date()
const nastyName = 'host=x port=1 "quoted" %s\n-é'

async function fill(source: Cluster): Promise<void> {
  const sql = postgres(source.url('postgres'), { max: 1, onnotice: () => {} })
  await sql`create database ${sql(nastyName)}`
  await sql.unsafe('create database shop')
  await sql.end()
  await runSql(
    source,
    'shop',
    'create role clerk nologin',
    'create schema sales',
    'create table sales.orders (id int generated always as identity primary key, text text)',
    'insert into sales.orders (text) select md5(i::text) from generate_series(1, 3000) i',
    'alter table sales.orders owner to clerk',
    'grant usage on schema sales to clerk',
    "select lo_from_bytea(0, 'a large object')",
    "alter database shop set work_mem = '8MB'",
  )
  const options = { host: source.host, port: source.port, username: source.superuser, password: source.password }
  const other = postgres({ ...options, database: nastyName, max: 1, onnotice: () => {} })
  await other.unsafe('create table "weird ""table""" as select generate_series(1, 7) as "column = 1"')
  await other.end()
}

async function backedUp(service: Service, source: Cluster, folder: string) {
  const made = await protect(service, source, folder)
  const job = await backUpNow(service.database, { instanceId: made.instance.id, actor, now: now() })
  const ended = await service.ended(job.id)
  expect(ended).toMatchObject({ status: 'COMPLETED', error: null })
  const [point] = await findRecoveryPointsOf(service.database, made.instance.id)
  if (!point) throw new Error('no recovery point')
  return { ...made, point }
}

async function intoServer(
  service: Service,
  target: Cluster,
  point: RecoveryPoint,
  databases: { name: string; targetName: string }[] | null = null,
): Promise<JobRow> {
  const server = await register(service, target)
  const job = await restoreToServer(service.database, {
    recoveryPointId: point.id,
    serverId: server.id,
    databases,
    ownership: { kind: 'KEEP' },
    actor,
    now: now(),
  })
  return service.ended(job.id)
}

async function asFiles(service: Service, point: RecoveryPoint, directory: string): Promise<JobRow> {
  const job = await restoreAsFiles(service.database, {
    recoveryPointId: point.id,
    target: { kind: 'DIRECTORY', path: directory },
    databases: null,
    actor,
    now: now(),
  })
  return service.ended(job.id)
}

async function databasesOf(cluster: Cluster): Promise<string[]> {
  const sql = postgres(cluster.url('postgres'), { max: 1 })
  const rows = await sql<{ name: string }[]>`select datname as name from pg_database where not datistemplate order by 1`
  await sql.end()
  return rows.map(({ name }) => name)
}

describe('restoring into a server', () => {
  test('brings back every database, its rows, owners, settings and large objects', async ({ databaseUrl, folder }) => {
    await using source = await sourceServer()
    await using target = await sourceServer()
    await fill(source)
    await using service = await startService({ databaseUrl, folder })
    const { point } = await backedUp(service, source, folder)
    const ended = await intoServer(service, target, point)
    expect(ended).toMatchObject({ error: null })
    expect(ended.status).toMatch(/^COMPLETED/)
    expect(await databasesOf(target)).toEqual(expect.arrayContaining(['shop', nastyName]))
    expect(restoreReportOf(ended)?.rolesCreated).toEqual(['clerk'])
    const sql = postgres(target.url('shop'), { max: 1 })
    expect(await sql`select count(*)::int, max(id) from sales.orders`).toEqual([{ count: 3000, max: 3000 }])
    expect(await sql`select tableowner from pg_tables where tablename = 'orders'`).toEqual([{ tableowner: 'clerk' }])
    expect(await sql`select convert_from(lo_get(oid), 'utf8') as text from pg_largeobject_metadata`).toEqual([
      { text: 'a large object' },
    ])
    expect(await sql`show work_mem`).toEqual([{ work_mem: '8MB' }])
    await sql.end()
  })

  test('refuses a database that holds something, and touches nothing', async ({ databaseUrl, folder }) => {
    await using source = await sourceServer()
    await using target = await sourceServer()
    await fill(source)
    await runSql(target, 'postgres', 'create database shop')
    await runSql(target, 'shop', 'create table precious as select 1 as id')
    await using service = await startService({ databaseUrl, folder })
    const { point } = await backedUp(service, source, folder)
    const ended = await intoServer(service, target, point, [
      { name: nastyName, targetName: 'other' },
      { name: 'shop', targetName: 'shop' },
    ])
    expect(ended).toMatchObject({ status: 'FAILED', error: { code: 'TARGET_NOT_EMPTY', isUserError: true } })
    expect(await databasesOf(target)).toEqual(['postgres', 'shop'])
    const sql = postgres(target.url('shop'), { max: 1 })
    expect(await sql`select id from precious`).toEqual([{ id: 1 }])
    await sql.end()
  })
})

describe('a restore that the target makes fail', () => {
  test('says nothing against the recovery point, whatever its tables and functions are called', async ({
    databaseUrl,
    folder,
  }) => {
    await using source = await sourceServer()
    await runSql(source, 'postgres', 'create database shop')
    await runSql(
      source,
      'shop',
      `create function is_corrupt(i int) returns bool language plpgsql as
        $$ begin if current_database() <> 'shop' then raise exception 'corrupt: invalid code'; end if; return false; end $$`,
      'create table corrupted_uploads (i int check (not is_corrupt(i)))',
      'insert into corrupted_uploads values (1)',
    )
    await using service = await startService({ databaseUrl, folder })
    const { point } = await backedUp(service, source, folder)
    const ended = await intoServer(service, source, point, [{ name: 'shop', targetName: 'copy' }])
    expect(ended).toMatchObject({ status: 'FAILED', error: { code: 'RESTORE_FAILED' } })
    const [after] = await findRecoveryPoints(service.database, [point.id])
    expect(after).toMatchObject({ state: 'AVAILABLE', damage: [] })
  })
})

describe('restoring as files', () => {
  test('writes archives that the instructions beside them load with stock programs', async ({
    databaseUrl,
    folder,
  }) => {
    await using source = await sourceServer()
    await using target = await sourceServer()
    await fill(source)
    await using service = await startService({ databaseUrl, folder })
    const { point } = await backedUp(service, source, folder)
    const directory = join(folder, 'restored')
    expect(await asFiles(service, point, directory)).toMatchObject({ status: 'COMPLETED', error: null })
    expect(await readdir(directory)).toEqual(expect.arrayContaining(['RESTORE.md', 'globals.sql', 'manifest.json']))

    const text = await readFile(join(directory, 'RESTORE.md'), 'utf8')
    const blocks = [...text.matchAll(/```sh\n([\s\S]*?)```/g)].map(([, block]) => block)
    const script = blocks.slice(1).join('\n')
    await run('bash', ['-euo', 'pipefail', '-c', script], {
      cwd: directory,
      env: {
        PATH: `${await programsOf(await installedMajor())}:${process.env.PATH}`,
        PGHOST: target.host,
        PGPORT: String(target.port),
        PGUSER: target.superuser,
        PGPASSWORD: target.password,
      },
    })
    expect(await databasesOf(target)).toEqual(expect.arrayContaining(['shop', nastyName]))
    const sql = postgres(target.url('shop'), { max: 1 })
    expect(await sql`select count(*)::int from sales.orders`).toEqual([{ count: 3000 }])
    await sql.end()
  })

  test('fails onto a directory that holds anything, and leaves it as it was', async ({
    databaseUrl,
    folder,
    source,
  }) => {
    await using service = await startService({ databaseUrl, folder })
    const { point } = await backedUp(service, source, folder)
    const directory = join(folder, 'occupied')
    await mkdir(directory)
    await writeFile(join(directory, 'mine.txt'), 'mine')
    const ended = await asFiles(service, point, directory)
    expect(ended).toMatchObject({ status: 'FAILED', error: { code: 'TARGET_NOT_EMPTY', isUserError: true } })
    expect(await readdir(directory)).toEqual(['mine.txt'])
    expect((await readdir(folder)).filter((name) => name.includes('restoring'))).toEqual([])
  })
})

describe('a damaged recovery point', () => {
  async function artifactsOf(vaultPath: string, point: RecoveryPoint): Promise<string[]> {
    const names = await readdir(join(vaultPath, point.prefix))
    return names.filter((name) => name.includes('.dump')).map((name) => join(vaultPath, point.prefix, name))
  }

  async function flipBit(path: string): Promise<void> {
    const file = await open(path, 'r+')
    const { size } = await file.stat()
    const byte = Buffer.alloc(1)
    await file.read(byte, 0, 1, Math.floor(size / 2))
    byte[0] = (byte[0] ?? 0) ^ 0x10
    await file.write(byte, 0, 1, Math.floor(size / 2))
    await file.close()
  }

  test.for([
    ['a flipped bit', flipBit],
    ['a cut', async (path: string) => truncate(path, 100)],
  ] as const)(
    'with %s is found by verification, named, and refused by every restore',
    async ([, harm], { databaseUrl, folder, source }) => {
      await using service = await startService({ databaseUrl, folder })
      const { point, vaultPath } = await backedUp(service, source, folder)
      const [artifact] = await artifactsOf(vaultPath, point)
      if (!artifact) throw new Error('no artifact')
      await harm(artifact)
      const name = artifact.slice(artifact.lastIndexOf('/') + 1)

      const unverified = await asFiles(service, point, join(folder, 'restored'))
      expect(unverified).toMatchObject({ status: 'FAILED', error: { code: 'ARTIFACT_DAMAGED', isUserError: false } })
      expect(unverified.error?.details).toContain(name)
      expect(await readdir(folder)).not.toContain('restored')

      const verification = await verifyRecoveryPoint(service.database, { recoveryPointId: point.id, actor, now: now() })
      const verified = await service.ended(verification.id)
      expect(verified).toMatchObject({ status: 'FAILED', error: { code: 'ARTIFACT_DAMAGED' } })
      expect(verified.error?.details).toContain(name)
      const [suspect] = await findRecoveryPoints(service.database, [point.id])
      expect(suspect).toMatchObject({ state: 'SUSPECT', proof: 'READ_BACK' })
      expect(suspect?.damage.join()).toContain(name)
      await expect(asFiles(service, point, join(folder, 'restored'))).rejects.toBeInstanceOf(RecoveryPointSuspect)
    },
  )

  test('that is whole is verified down to every decoded byte', async ({ databaseUrl, folder, source }) => {
    await using service = await startService({ databaseUrl, folder })
    const { point } = await backedUp(service, source, folder)
    const verification = await verifyRecoveryPoint(service.database, { recoveryPointId: point.id, actor, now: now() })
    expect(await service.ended(verification.id)).toMatchObject({ status: 'COMPLETED', error: null })
    const [proven] = await findRecoveryPoints(service.database, [point.id])
    expect(proven).toMatchObject({ state: 'AVAILABLE', proof: 'DECODED' })
  })
})
