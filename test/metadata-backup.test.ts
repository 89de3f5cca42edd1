import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { eq } from 'drizzle-orm'
import { describe, expect } from 'vitest'
import { recordAudit } from '../src/audit/record.ts'
import type { Database } from '../src/database/connect.ts'
import { jobs } from '../src/database/tables/job.ts'
import { notifications } from '../src/database/tables/notification.ts'
import { vaults } from '../src/database/tables/vault.ts'
import { backUpMetadata, MetadataBackupAlreadyRunning, VaultNotSetUp } from '../src/vault/metadata/back-up.ts'
import { copiesToKeep } from '../src/vault/metadata/keep.ts'
import { startDueMetadataBackups } from '../src/vault/metadata/start-due.ts'
import { isMetadataBackupOverdue, switchMetadataBackup } from '../src/vault/metadata/switch.ts'
import type { Vault } from '../src/vault/vault.ts'
import { actor, addVault, protect, type Service, startService } from './kit/protected-server.ts'
import { test } from './kit/test.ts'

const hourMs = 3_600_000
const everyMs = 24 * hourMs

async function vaultNow(database: Database, id: string): Promise<Vault> {
  const [vault] = await database.select().from(vaults).where(eq(vaults.id, id))
  if (!vault) throw new Error('The vault is gone.')
  return vault
}

async function backUp({ database, ended }: Service, vaultId: string) {
  return ended((await backUpMetadata(database, { vaultId, actor, now: new Date() })).id)
}

const copiesIn = (vaultPath: string) => readdir(join(vaultPath, 'metadata')).catch((): string[] => [])

describe('backing up the metadata', () => {
  test('writes one whole copy, of which nothing can be read without the key', async ({
    databaseUrl,
    folder,
    source,
  }) => {
    await using service = await startService({ databaseUrl, folder })
    const { vault, vaultPath, server } = await protect(service, source, folder)
    const job = await backUp(service, vault.id)
    expect(job).toMatchObject({ status: 'COMPLETED', warnings: [] })
    const [copy = '', ...others] = await copiesIn(vaultPath)
    expect(others).toEqual([])
    const within = join(vaultPath, 'metadata', copy)
    expect(await readdir(within)).toEqual(['metadata.json', 'metadata.sql.zst.age'])
    expect(JSON.parse(await readFile(join(within, 'metadata.json'), 'utf8'))).toMatchObject({
      format: 'holdfast-metadata',
      vaultId: vault.id,
      jobId: job.id,
      hasKeyFile: true,
    })
    const stored = await readFile(join(within, 'metadata.sql.zst.age'))
    expect(stored.subarray(0, 21).toString()).toBe('age-encryption.org/v1')
    expect(stored.includes(server.name)).toBe(false)
    expect(await vaultNow(service.database, vault.id)).toMatchObject({
      metadataBackedUpAt: expect.any(Date),
      metadataStoredBytes: stored.length,
      metadataFailedAt: null,
    })
  })

  test('that fails is told, leaves nothing, and the next one clears it', async ({ databaseUrl, folder, source }) => {
    await using service = await startService({ databaseUrl, folder })
    const { vault, vaultPath } = await protect(service, source, folder)
    const key = await readFile(join(folder, 'secret.key'))
    await rm(join(folder, 'secret.key'))
    expect(await backUp(service, vault.id)).toMatchObject({ status: 'FAILED', error: { code: 'SECRET_UNREADABLE' } })
    expect(await copiesIn(vaultPath)).toEqual([])
    expect((await vaultNow(service.database, vault.id)).metadataFailure).toContain('SECRET_UNREADABLE')
    const told = await service.database.select().from(notifications)
    expect(told.map(({ kind }) => kind)).toContain('METADATA_BACKUP_FAILED')
    await writeFile(join(folder, 'secret.key'), key, { mode: 0o600 })
    expect(await backUp(service, vault.id)).toMatchObject({ status: 'COMPLETED' })
    expect((await vaultNow(service.database, vault.id)).metadataFailure).toBeNull()
  })

  test('is refused for a vault that is not set up, and while one is pending', async ({
    databaseUrl,
    folder,
    database,
  }) => {
    const service = await startService({ databaseUrl, folder })
    const vault = await addVault(service, folder)
    await service[Symbol.asyncDispose]()
    const ask = () => backUpMetadata(database, { vaultId: vault.id, actor, now: new Date() })
    await expect(ask()).rejects.toThrow(VaultNotSetUp)
    await setUp(database, vault.id)
    await ask()
    await expect(ask()).rejects.toThrow(MetadataBackupAlreadyRunning)
  })

  test('tells of copies that another Holdfast has written since the last one', async ({
    databaseUrl,
    folder,
    source,
  }) => {
    await using service = await startService({ databaseUrl, folder })
    const { vault, vaultPath } = await protect(service, source, folder)
    const first = await backUp(service, vault.id)
    const [copy = ''] = await copiesIn(vaultPath)
    const header = await readFile(join(vaultPath, 'metadata', copy, 'metadata.json'), 'utf8')
    const stranger = crypto.randomUUID()
    const foreign = header
      .replace(first.id, stranger)
      .replace(/"createdAt": ".*?"/, `"createdAt": "${new Date().toISOString()}"`)
    const foreignFolder = join(vaultPath, 'metadata', copy.replace(first.id, stranger))
    await mkdir(foreignFolder)
    await writeFile(join(foreignFolder, 'metadata.json'), foreign)
    const warned = await backUp(service, vault.id)
    expect(warned).toMatchObject({ status: 'COMPLETED_WITH_WARNINGS' })
    expect(warned.warnings[0]).toContain(
      `Another Holdfast has written a copy of its metadata into vault "${vault.name}"`,
    )
    const told = await service.database.select().from(notifications)
    expect(told.filter(({ kind }) => kind === 'METADATA_BACKUP_FAILED')).toHaveLength(1)
    expect(await backUp(service, vault.id)).toMatchObject({ status: 'COMPLETED' })
  })
})

async function setUp(database: Database, vaultId: string): Promise<void> {
  const capabilities = { conditionalCreate: true, largestObjectBytes: null }
  await database.update(vaults).set({ capabilities }).where(eq(vaults.id, vaultId))
}

describe('what is due', () => {
  test('a vault gets its first copy when it is set up, then one a day, and one soon after a change', async ({
    databaseUrl,
    folder,
    database,
  }) => {
    const service = await startService({ databaseUrl, folder })
    const vault = await addVault(service, folder)
    await service[Symbol.asyncDispose]()
    const start = vault.createdAt.getTime()
    const dueAfter = async (hours: number) => {
      const now = new Date(start + hours * hourMs)
      const started = await startDueMetadataBackups(database, { everyMs, now, atMost: 20 })
      await database.update(jobs).set({ status: 'CANCELLED' })
      return started
    }
    expect(await dueAfter(0)).toBe(0)
    await setUp(database, vault.id)
    expect(await dueAfter(0)).toBe(1)
    const set = (change: Partial<Vault>) => database.update(vaults).set(change)
    await set({ metadataBackedUpAt: new Date(start + hourMs) })
    expect(await dueAfter(24)).toBe(0)
    expect(await dueAfter(26)).toBe(1)
    await recordAudit(database, {
      actor,
      action: 'registerServer',
      subject: { kind: 'Vault', id: vault.id, name: vault.name },
      now: new Date(start + 1.1 * hourMs),
    })
    expect(await dueAfter(1.2)).toBe(0)
    expect(await dueAfter(1.5)).toBe(1)
    await set({ metadataFailedAt: new Date(start + 1.5 * hourMs) })
    expect(await dueAfter(7)).toBe(0)
    expect(await dueAfter(8)).toBe(1)
    // By a clock that was ahead.
    await set({ metadataBackedUpAt: new Date(start + 9000 * hourMs), metadataFailedAt: null })
    expect(await dueAfter(8.1)).toBe(1)
    await set({ metadataBackedUpAt: new Date(start + hourMs), metadataFailedAt: new Date(start + 9000 * hourMs) })
    expect(await dueAfter(26)).toBe(1)
    await switchMetadataBackup(database, { vaultId: vault.id, isOn: false, reason: null, actor, now: new Date() })
    expect(await dueAfter(100)).toBe(0)
  })

  test('one that is pending is not started again', async ({ databaseUrl, folder, database }) => {
    const service = await startService({ databaseUrl, folder })
    const vault = await addVault(service, folder)
    await service[Symbol.asyncDispose]()
    await setUp(database, vault.id)
    const now = new Date()
    expect(await startDueMetadataBackups(database, { everyMs, now, atMost: 20 })).toBe(1)
    expect(await startDueMetadataBackups(database, { everyMs, now, atMost: 20 })).toBe(0)
    const fresh = await vaultNow(database, vault.id)
    const later = (hours: number) => ({ everyMs, now: new Date(fresh.createdAt.getTime() + hours * hourMs) })
    expect(isMetadataBackupOverdue(fresh, later(47))).toBe(false)
    expect(isMetadataBackupOverdue(fresh, later(49))).toBe(true)
    expect(isMetadataBackupOverdue({ ...fresh, keepsMetadata: false }, later(49))).toBe(false)
    const ahead = {
      ...fresh,
      createdAt: fresh.metadataBackedUpAt ?? fresh.createdAt,
      metadataBackedUpAt: later(9000).now,
    }
    expect(isMetadataBackupOverdue(ahead, later(49))).toBe(true)
  })

  test('the clock starts it by itself', async ({ databaseUrl, folder, source }) => {
    await using service = await startService({ databaseUrl, folder }, { clock: true })
    const { vault } = await protect(service, source, folder)
    await expect
      .poll(async () => (await vaultNow(service.database, vault.id)).metadataBackedUpAt, {
        timeout: 40_000,
        interval: 500,
      })
      .toBeInstanceOf(Date)
  })
})

describe('which copies stay', () => {
  const copy = (text: string) => ({ createdAt: new Date(text) })

  test('the newest three, and the newest of each of seven days and of each of four weeks', () => {
    const copies = Array.from({ length: 60 * 4 }, (_, index) => ({
      createdAt: new Date(Date.UTC(2026, 0, 1) + index * 6 * hourMs),
    }))
    const kept = [...copiesToKeep(copies, new Date('2026-03-02T00:00:00Z'))].map(({ createdAt }) =>
      createdAt.toISOString().slice(0, 13),
    )
    expect(kept.toSorted()).toEqual([
      '2026-02-08T18',
      '2026-02-15T18',
      '2026-02-22T18',
      '2026-02-23T18',
      '2026-02-24T18',
      '2026-02-25T18',
      '2026-02-26T18',
      '2026-02-27T18',
      '2026-02-28T18',
      '2026-03-01T06',
      '2026-03-01T12',
      '2026-03-01T18',
    ])
  })

  test('old ones stay while no new ones come, and the newest always', () => {
    const old = ['2020-01-01T00:00:00Z', '2020-05-01T00:00:00Z', '2023-01-01T00:00:00Z'].map(copy)
    const now = new Date('2026-03-02T00:00:00Z')
    expect(copiesToKeep(old, now)).toEqual(new Set(old))
    expect(copiesToKeep([], now)).toEqual(new Set())
  })

  test('one that a wrong clock has dated after now stays until then, and takes the place of no other', () => {
    const now = new Date('2026-03-02T00:00:00Z')
    const later = ['2031-01-01T00:00:00Z', '2031-01-02T00:00:00Z', '2031-01-03T00:00:00Z'].map(copy)
    const today = ['2026-03-01T01:00:00Z', '2026-03-01T02:00:00Z', '2026-03-01T03:00:00Z'].map(copy)
    const before = copy('2026-03-01T00:30:00Z')
    expect(copiesToKeep([...later, before, ...today], now)).toEqual(new Set([...later, ...today]))
    const undated = { createdAt: new Date(Number.NaN) }
    expect(copiesToKeep([undated, ...today], now)).toEqual(new Set([undated, ...today]))
    expect(copiesToKeep([...later, ...today], new Date('2031-02-01T00:00:00Z'))).toEqual(
      new Set([...later, ...today.slice(-1)]),
    )
  })
})
