import { execFile } from 'node:child_process'
import { mkdir, readdir, rm, symlink, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { describe, expect } from 'vitest'
import type { Cluster } from '../src/cluster/start.ts'
import { backUpNow } from '../src/instance/back-up-now.ts'
import { findRecoveryPoints } from '../src/recovery-point/find.ts'
import type { RecoveryPoint } from '../src/recovery-point/recovery-point.ts'
import { restoreToServer } from '../src/restore/to-server.ts'
import { createStorageAccount } from '../src/storage-account/create.ts'
import { createStorageContainer } from '../src/storage-account/create-container.ts'
import { createDatabase, run } from './kit/engine.ts'
import { findRecoveryPointsOf } from './kit/points.ts'
import { actor, protect, register, runSql, type Service, startService } from './kit/protected-server.ts'
import { smallDisk } from './kit/small-disk.ts'
import { sourceServer } from './kit/source-server.ts'
import { test } from './kit/test.ts'
import { intoServer, linesOf, partsOf, problemLines, validated } from './kit/validation.ts'

const execute = promisify(execFile)
const now = () => new Date()

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

function intoDirectory(directory: string) {
  return { kind: 'FILES', target: { kind: 'DIRECTORY', path: directory }, databases: null } as const
}

/** A shop that needs an extension, and a second database. */
async function fill(source: Cluster): Promise<void> {
  await runSql(source, 'postgres', 'create role clerk', 'create database shop owner clerk', 'create database other')
  await runSql(
    source,
    'shop',
    'create extension old_snapshot',
    'create table orders as select generate_series(1, 100) as id',
    'alter table orders owner to clerk',
  )
}

describe('validating a restore', () => {
  test('into a server that fits finds nothing against it, and says what would come back', async ({
    databaseUrl,
    folder,
  }) => {
    await using source = await sourceServer()
    await using target = await sourceServer()
    await fill(source)
    await using service = await startService({ databaseUrl, folder })
    const { point } = await backedUp(service, source, folder)
    const server = await register(service, target)
    const { job, report } = await validated(service, point, intoServer(server.id, { ownership: { kind: 'KEEP' } }))
    expect(problemLines(report)).toEqual([])
    expect(report.isRestorable).toBe(true)
    expect(report.databases).toMatchObject([
      { name: 'other', targetName: 'other', tableCount: 0 },
      { name: 'shop', targetName: 'shop', tableCount: 1, rowCount: 100 },
    ])
    expect(report.bytesNeeded).toBeGreaterThan(1_000_000)
    expect(report.tools).toContain('pg_restore')
    expect(linesOf(report, 'PROOF')).toEqual(['WARNING READ_BACK'])
    expect(job).toMatchObject({ status: 'COMPLETED', warnings: [] })
    expect(await partsOf(service, job.id)).toEqual(['Check the point and the target: COMPLETED'])
    expect(await databasesOf(target)).toEqual(['postgres', 'template0', 'template1'])
  })

  test('answers five things wrong at the target and two at the point in one report, each with what to do', async ({
    databaseUrl,
    folder,
  }) => {
    await using source = await sourceServer()
    await using target = await sourceServer({ major: 18 })
    await fill(source)
    await using service = await startService({ databaseUrl, folder })
    const { point, vaultPath } = await backedUp(service, source, folder)
    const { other: cut, shop: missing } = await archivesOf(vaultPath, point)
    await truncate(cut, 100)
    await rm(missing)

    await run(target, 'postgres', `create role modest login password 'x'`)
    await run(target, 'postgres', 'create database shop')
    await run(target, 'shop', 'create table precious (id int)')
    const server = await register(service, target, { username: 'modest', password: 'x' })
    const before = await databasesOf(target)
    const { job, report } = await validated(service, point, intoServer(server.id, { ownership: { kind: 'KEEP' } }))
    expect(report.isRestorable).toBe(false)
    expect(problemLines(report)).toEqual([
      `ARTIFACTS ARTIFACT_DAMAGED ${cut.slice(vaultPath.length + 1)}`,
      `ARTIFACTS STORAGE_OBJECT_MISSING ${missing.slice(vaultPath.length + 1)}`,
      'RIGHTS PERMISSION_DENIED modest',
      'ROLES ROLE_MISSING clerk',
      `ROLES PERMISSION_DENIED ${source.superuser}`,
      'EXTENSIONS EXTENSION_MISSING old_snapshot',
      'TARGET_DATABASE TARGET_NOT_EMPTY shop',
      'RIGHTS PERMISSION_DENIED shop',
    ])
    for (const { status, recommendedActions } of report.checks) {
      if (status === 'PROBLEM') expect(recommendedActions).not.toEqual([])
    }
    expect(job.status).toBe('COMPLETED_WITH_WARNINGS')
    expect(job.warnings).toHaveLength(8)
    expect(await databasesOf(target)).toEqual(before)
    const [suspect] = await findRecoveryPoints(service.database, [point.id])
    expect(suspect?.state).toBe('SUSPECT')
    expect(suspect?.damage).toHaveLength(2)

    const again = await validated(service, point, intoServer(server.id))
    expect(problemLines(again.report)[0]).toBe(`POINT_STATE ARTIFACT_DAMAGED ${point.pointInTime.toISOString()}`)
  })

  test('of one database takes damage to another for a warning', async ({ databaseUrl, folder }) => {
    await using source = await sourceServer()
    await fill(source)
    await using service = await startService({ databaseUrl, folder })
    const { point, vaultPath } = await backedUp(service, source, folder)
    const { other } = await archivesOf(vaultPath, point)
    await rm(other)
    const target = { ...intoDirectory(join(folder, 'restored')), databases: ['shop'] }
    const { report } = await validated(service, point, target)
    expect(report.isRestorable).toBe(true)
    expect(linesOf(report, 'ARTIFACTS')).toEqual([`WARNING ${other.slice(vaultPath.length + 1)}`])
  })

  test('says what it could not look at, when neither vault nor server answer', async ({
    databaseUrl,
    folder,
    source,
  }) => {
    await using service = await startService({ databaseUrl, folder })
    const { point, vaultPath, vault } = await backedUp(service, source, folder)
    await execute('mv', [vaultPath, `${vaultPath}.away`])
    const gone = await register(service, { ...source, port: 1 })
    const { report } = await validated(service, point, intoServer(gone.id))
    expect(problemLines(report)).toEqual([
      `VAULT STORAGE_UNREACHABLE ${vault.name}`,
      `CONNECTION SERVER_UNREACHABLE ${source.host}:1`,
    ])
    const skipped = report.checks.filter(({ status }) => status === 'SKIPPED').map(({ kind }) => kind)
    expect(skipped).toEqual(
      expect.arrayContaining(['MANIFEST', 'ARTIFACTS', 'EXTENSIONS', 'LOCALE', 'TARGET_DATABASE']),
    )
    const [untouched] = await findRecoveryPoints(service.database, [point.id])
    expect(untouched?.state).toBe('AVAILABLE')
  })

  test('finds a manifest that is not the recorded one and a header that is missing', async ({
    databaseUrl,
    folder,
    source,
  }) => {
    await using service = await startService({ databaseUrl, folder })
    const { point, vaultPath } = await backedUp(service, source, folder)
    await truncate(join(vaultPath, point.prefix, 'manifest.json.age'), 300)
    await rm(join(vaultPath, point.prefix, 'point.json'))
    const { report } = await validated(service, point, intoDirectory(join(folder, 'restored')))
    expect(problemLines(report)).toEqual([
      `MANIFEST ARTIFACT_DAMAGED ${point.prefix}manifest.json.age`,
      `MANIFEST STORAGE_OBJECT_MISSING ${point.prefix}point.json`,
    ])
    expect(linesOf(report, 'ARTIFACTS')).toEqual(['SKIPPED files'])
  })
})

describe('validating a restore into a directory', () => {
  test('finds what lies there, and leaves all as it was', async ({ databaseUrl, folder, source }) => {
    await using service = await startService({ databaseUrl, folder })
    const { point } = await backedUp(service, source, folder)
    const directory = join(folder, 'occupied')
    await mkdir(directory)
    for (const name of ['a', 'b', 'c', 'd', 'e', 'f', 'g']) await writeFile(join(directory, name), 'mine')
    const before = await readdir(folder)
    const { report } = await validated(service, point, intoDirectory(directory))
    expect(problemLines(report)).toEqual([`EXISTING_FILES TARGET_NOT_EMPTY ${directory}`])
    expect(report.checks.find(({ kind }) => kind === 'EXISTING_FILES')?.message).toContain(
      '7 entries already: a, b, c, d, e',
    )
    expect(report.bytesFree).toBeGreaterThan(report.bytesNeeded ?? Number.POSITIVE_INFINITY)
    expect(await readdir(folder)).toEqual(before)
  })

  test('finds that it is a file, or lies in a vault, or beside nothing', async ({ databaseUrl, folder, source }) => {
    await using service = await startService({ databaseUrl, folder })
    const { point, vaultPath } = await backedUp(service, source, folder)
    const problemsAt = async (directory: string) => {
      const { report } = await validated(service, point, intoDirectory(directory))
      return problemLines(report)
    }
    await writeFile(join(folder, 'file'), '')
    expect(await problemsAt(join(folder, 'file'))).toEqual([`TARGET_PLACE TARGET_NOT_EMPTY ${join(folder, 'file')}`])
    const inVault = join(vaultPath, 'restored')
    expect(await problemsAt(inVault)).toEqual([`TARGET_PLACE TARGET_PLACE_TAKEN ${inVault}`])
    await symlink(vaultPath, join(folder, 'link'))
    const byLink = join(folder, 'link', 'restored')
    expect(await problemsAt(byLink)).toEqual([`TARGET_PLACE TARGET_PLACE_TAKEN ${byLink}`])
    const nowhere = join(folder, 'no', 'such')
    expect(await problemsAt(nowhere)).toEqual([`WRITE_PROBE STORAGE_UNREACHABLE ${join(folder, 'no')}`])
    expect(await readdir(vaultPath)).not.toContain('restored')
  })

  test.runIf(process.getuid?.() === 0)(
    'finds a disk that is full, or read-only',
    async ({ databaseUrl, folder, source }) => {
      await using service = await startService({ databaseUrl, folder })
      const { point } = await backedUp(service, source, folder)
      await using disk = await smallDisk(folder, 1)
      const { report } = await validated(service, point, intoDirectory(join(disk.path, 'restored')))
      expect(problemLines(report)).toEqual([`FREE_SPACE STORAGE_FULL ${join(disk.path, 'restored')}`])
      expect(await readdir(disk.path)).toEqual([])
      await writeFile(join(disk.path, 'ballast'), Buffer.alloc(2_000_000)).catch(() => undefined)
      const full = await validated(service, point, intoDirectory(join(disk.path, 'restored')))
      expect(problemLines(full.report)).toEqual([
        `WRITE_PROBE STORAGE_FULL ${disk.path}`,
        `FREE_SPACE STORAGE_FULL ${join(disk.path, 'restored')}`,
      ])
      expect(await readdir(disk.path)).toEqual(['ballast'])
      await execute('mount', ['-o', 'remount,ro', disk.path])
      const readOnly = await validated(service, point, intoDirectory(join(disk.path, 'restored')))
      expect(problemLines(readOnly.report)[0]).toBe(`WRITE_PROBE STORAGE_READ_ONLY ${disk.path}`)
      const mounted = await validated(service, point, intoDirectory(disk.path))
      expect(problemLines(mounted.report)).toContain(`EXISTING_FILES TARGET_NOT_EMPTY ${disk.path}`)
    },
  )
})

describe('validating a restore into a container', () => {
  test('names every rule of the account that keeps the vault out, each with its cure, and tries nothing', async ({
    databaseUrl,
    folder,
    source,
  }) => {
    await using service = await startService({ databaseUrl, folder })
    const { point, vault } = await backedUp(service, source, folder)
    const account = await addAccount(service, join(folder, 'account'), { publicNetworkAccess: 'DISABLED' })
    const { report } = await validated(service, point, account.target)
    expect(problemLines(report)).toEqual(
      Array(3).fill(`NETWORK_RULES NETWORK_RULE_FORBIDS restored/set of storage account "${account.name}"`),
    )
    expect(report.checks.flatMap(({ recommendedActions }) => recommendedActions)).toEqual(
      expect.arrayContaining([
        'Set publicNetworkAccess to ENABLED_FROM_SELECTED_NETWORKS with updateStorageAccountNetworking.',
        `Add vault "${vault.name}" to the resourceInstances with updateStorageAccountNetworking.`,
        'Set allowTrustedServices to true with updateStorageAccountNetworking.',
      ]),
    )
    expect(linesOf(report, 'WRITE_PROBE')).toEqual([`SKIPPED restored/set of storage account "${account.name}"`])
    expect(await readdir(folder)).not.toContain('account')
  })

  test('tries it for real where the rules let it in, leaves no file, and names what lies there', async ({
    databaseUrl,
    folder,
    source,
  }) => {
    await using service = await startService({ databaseUrl, folder })
    const { point } = await backedUp(service, source, folder)
    const path = join(folder, 'account')
    const { name, target } = await addAccount(service, path, { publicNetworkAccess: 'ENABLED' })
    const { report } = await validated(service, point, target)
    expect(problemLines(report)).toEqual([])
    expect(linesOf(report, 'WRITE_PROBE')).toEqual([`PASSED restored/set of storage account "${name}"`])
    expect(report.bytesFree).toBeGreaterThan(0)
    expect(await readdir(path, { recursive: true })).toEqual([])
    await mkdir(join(path, 'restored', 'set'), { recursive: true })
    await writeFile(join(path, 'restored', 'set', 'mine.txt'), 'mine')
    const occupied = await validated(service, point, target)
    expect(problemLines(occupied.report)).toEqual([
      `EXISTING_FILES TARGET_NOT_EMPTY restored/set of storage account "${name}"`,
    ])
  })
})

describe('a restore', () => {
  test('makes the same checks first: all problems are in its error, and nothing was written', async ({
    databaseUrl,
    folder,
  }) => {
    await using source = await sourceServer()
    await using target = await sourceServer({ major: 18 })
    await fill(source)
    await using service = await startService({ databaseUrl, folder })
    const { point } = await backedUp(service, source, folder)
    await run(target, 'postgres', `create role modest login password 'x'`)
    const occupied = await createDatabase(target, 'create table precious (id int)')
    const server = await register(service, target, { username: 'modest', password: 'x' })
    const before = await databasesOf(target)
    const { id } = await restoreToServer(service.database, {
      recoveryPointId: point.id,
      serverId: server.id,
      databases: [{ name: 'shop', targetName: occupied }],
      ownership: { kind: 'NONE' },
      actor,
      now: now(),
    })
    const job = await service.ended(id)
    expect(job).toMatchObject({
      status: 'FAILED',
      error: { code: 'PERMISSION_DENIED', isUserError: true, isRetryable: false },
    })
    expect(job.error?.details?.split('\n')).toEqual([
      'Role "modest" may not create databases.',
      'Database "shop" needs extension "old_snapshot" (1.0), which the server does not have.',
      expect.stringContaining('it holds relation precious'),
      expect.stringContaining('must be a member of'),
    ])
    expect(job.error?.recommendedActions).toEqual(
      expect.arrayContaining(['As a superuser: ALTER ROLE "modest" CREATEDB', 'Restore under another name.']),
    )
    expect(await partsOf(service, id)).toEqual(['Check the point and the target: FAILED'])
    expect(await databasesOf(target)).toEqual(before)
  })
})

/** A storage account in a directory, with one container, and a folder of it to restore into. */
async function addAccount(
  { database, secrets }: Service,
  path: string,
  { publicNetworkAccess }: { publicNetworkAccess: 'ENABLED' | 'DISABLED' },
) {
  const { id, name } = await createStorageAccount(database, {
    name: `account ${crypto.randomUUID()}`,
    location: { kind: 'DIRECTORY', path },
    rules: { publicNetworkAccess, allowTrustedServices: false, resourceInstanceIds: [] },
    secrets,
    actor,
    now: now(),
  })
  const container = await createStorageContainer(database, {
    storageAccountId: id,
    name: 'restored',
    actor,
    now: now(),
  })
  const target = { kind: 'CONTAINER', containerId: container.id, folder: 'set' } as const
  return { name, target: { kind: 'FILES', target, databases: null } as const }
}

/** The archives of the filled databases in their vault, by their paths; between them lies that of "postgres". */
async function archivesOf(vaultPath: string, point: RecoveryPoint): Promise<{ other: string; shop: string }> {
  const names = (await readdir(join(vaultPath, point.prefix))).filter((name) => name.includes('.dump')).sort()
  const [other, , shop] = names.map((name) => join(vaultPath, point.prefix, name))
  if (!other || !shop) throw new Error('The point has fewer than three archives.')
  return { other, shop }
}
