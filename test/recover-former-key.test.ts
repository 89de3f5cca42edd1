import { execFile } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { eq } from 'drizzle-orm'
import { describe, expect } from 'vitest'
import { recoveryPoints } from '../src/database/tables/recovery-point.ts'
import { copiesFor, openCopy, openVault } from '../src/recover/find-copy.ts'
import { restoreAsFiles } from '../src/restore/as-files.ts'
import { generateIdentity } from '../src/secret/age-identity.ts'
import type { Storage } from '../src/storage/contract.ts'
import { directoryStorage } from '../src/storage/directory.ts'
import { keyringKey, writeKeyring } from '../src/storage/keyring.ts'
import { metadataKey, metadataPrefix } from '../src/storage/metadata-copies.ts'
import { sealBytes } from '../src/storage/sealed-json.ts'
import { switchVaultKey } from '../src/storage/vault-header.ts'
import { exportRecoveryKey } from '../src/vault/export-recovery-key.ts'
import { findVaults } from '../src/vault/find.ts'
import { importVault } from '../src/vault/import/import-vault.ts'
import { importReportOf } from '../src/vault/import/request.ts'
import { rotateVaultKey } from '../src/vault/key/rotate.ts'
import { backUpMetadata } from '../src/vault/metadata/back-up.ts'
import { freshDatabase } from './kit/fresh-database.ts'
import { findRecoveryPointsOf } from './kit/points.ts'
import { actor, protect, runSql, type Service, startService } from './kit/protected-server.ts'
import { recoverFrom } from './kit/recovered.ts'
import { backUp } from './kit/replica.ts'
import { put } from './kit/storage-contract.ts'
import { test } from './kit/test.ts'
import { writeVault } from './kit/written-vault.ts'

const now = () => new Date()
const program = fileURLToPath(new URL('../src/recover/main.ts', import.meta.url))

async function adopt({ database, secrets, ended }: Service, name: string, path: string, recoveryKey: string) {
  const location = { kind: 'DIRECTORY' as const, path }
  const how = { readBack: true, dryRun: false, secrets, actor, now: now() }
  return ended((await importVault(database, { name, location, recoveryKey, ...how })).id)
}

test('a recovery key from before a rotation brings back what was sealed until then, and tells what stays closed', {
  timeout: 180_000,
}, async ({ databaseUrl, folder, source }) => {
  await runSql(source, 'postgres', 'create table if not exists kept as select n from generate_series(1, 100) n')
  await using before = await startService({ databaseUrl, folder })
  const { vault, vaultPath, instance } = await protect(before, source, folder)
  const asked = { vaultId: vault.id, secrets: before.secrets, actor, now: now() }
  const { recoveryKey } = await exportRecoveryKey(before.database, asked)
  const older = await backUp(before, instance.id)
  const copy = async () => before.ended((await backUpMetadata(before.database, { ...asked, now: now() })).id)
  expect(await copy()).toMatchObject({ status: 'COMPLETED' })
  const { job } = await rotateVaultKey(before.database, { ...asked, dryRun: false })
  expect((await before.ended(job.id)).error).toBeNull()
  await backUp(before, instance.id)
  expect(await copy()).toMatchObject({ status: 'COMPLETED' })

  const storage = directoryStorage(vaultPath)
  expect(await openVault(storage, [recoveryKey])).toMatchObject({ isPresentKey: false, identities: [recoveryKey] })
  await expect(openVault(storage, [generateIdentity().identity])).rejects.toThrow('is not that of this vault')

  await using place = await recoverFrom(vaultPath, { recoveryKey, folder })
  await using after = await startService(place)
  const [known] = await findVaults(after.database, [vault.id])
  expect(known?.recipient).toBe(vault.recipient)
  const report = await adopt(after, vault.name, vaultPath, recoveryKey)
  expect(report).toMatchObject({
    status: 'COMPLETED_WITH_WARNINGS',
    error: null,
    warnings: expect.arrayContaining([expect.stringContaining('is a former one of the vault')]),
  })
  expect(importReportOf(report)).toMatchObject({ alreadyKnown: 1, manifestsTakenOver: 1, unreadableCount: 1 })
  const target = { kind: 'DIRECTORY' as const, path: join(folder, 'files') }
  const restore = { recoveryPointId: older.id, target, databases: null, actor, now: now() }
  expect(await after.ended((await restoreAsFiles(after.database, restore)).id)).toMatchObject({ error: null })

  await using database = await freshDatabase()
  await using other = await startService({ databaseUrl: database.url, folder })
  expect(await adopt(other, 'found', vaultPath, recoveryKey)).toMatchObject({ error: null })
  expect(await findRecoveryPointsOf(other.database, instance.id)).toMatchObject([{ id: older.id, state: 'AVAILABLE' }])
  expect(await other.database.$count(recoveryPoints, eq(recoveryPoints.recipient, vault.recipient))).toBe(1)
})

describe('a vault whose key was rotated', () => {
  const [old, later] = [generateIdentity(), generateIdentity()]

  /** Sealed as a copy of the metadata is, under a name of its own. */
  async function copyIn(storage: Storage, recipient: string, change = (bytes: Buffer): Buffer | null => bytes) {
    const prefix = metadataPrefix({ createdAt: now(), id: crypto.randomUUID(), attempt: 1 })
    const bytes = change(await sealBytes(Buffer.from('select 1'), [recipient]))
    if (bytes) await storage.write(metadataKey(prefix), put(bytes))
    return { prefix, header: null }
  }

  test('lists copies that are damaged beside those that a former key opens, and tells of the damage of one that is chosen', async ({
    folder,
  }) => {
    const { storage } = await writeVault(folder)
    const flipped = (bytes: Buffer) => Buffer.from(bytes.toString('latin1').replace('--- ', '--- A'), 'latin1')
    const whole = await copyIn(storage, old.recipient)
    const closed = await copyIn(storage, later.recipient)
    const lost = await copyIn(storage, old.recipient, () => null)
    const cut = await copyIn(storage, old.recipient, (bytes) => bytes.subarray(0, 10))
    const changed = await copyIn(storage, old.recipient, flipped)
    const all = [lost, whole, closed, cut, changed]
    const copies = await copiesFor(storage, all, [old.identity])
    expect(copies).toEqual([lost, whole, cut, changed])
    const facts = { vaultId: crypto.randomUUID(), jobId: crypto.randomUUID(), version: '0.4.0', hasKeyFile: true }
    const digest = { storedBytes: 10, storedSha256: '0'.repeat(64), plainBytes: 8, plainSha256: '0'.repeat(64) }
    const of = { format: 'holdfast-metadata', formatVersion: 1, ...facts, ...digest } as const
    const dated = copies.map(({ prefix }, index) => {
      return { prefix, header: { ...of, createdAt: `2026-01-0${9 - index}T00:00:00.000Z` } }
    })
    for (const { prefix, header } of dated.filter((copy) => copy.prefix !== whole.prefix)) {
      const opened = openCopy(storage, { prefix, header }, { identities: [old.identity], copies: dated })
      await expect(opened).rejects.toThrow(`The copy of ${header.createdAt} is damaged`)
    }
  })

  test('is recovered with word of former keys that cannot be read any more', async ({ folder }) => {
    const vault = await writeVault(folder)
    const { storage, path } = vault
    await writeKeyring(storage, [{ recipient: vault.recipient, identity: vault.recoveryKey }], [later.recipient])
    await switchVaultKey(storage, { from: vault.recipient, to: later.recipient })
    const list = async (recoveryKey: string) => {
      const keyFile = join(folder, `${crypto.randomUUID()}.txt`)
      await writeFile(keyFile, recoveryKey)
      const words = [program, '--vault', path, '--recovery-key-file', keyFile, '--list']
      return (await promisify(execFile)(process.execPath, words)).stdout
    }
    expect(await list(later.identity)).not.toContain(keyringKey(vault.recipient))
    await storage.replace(keyringKey(vault.recipient), Buffer.from('nothing of it'))
    expect(await list(later.identity)).toMatch(
      new RegExp(`former key.* another copy of the vault.* ${keyringKey(vault.recipient)}`),
    )
    // A former key opens none of them, as it should be.
    expect(await list(vault.recoveryKey)).not.toContain(keyringKey(vault.recipient))
  })
})
