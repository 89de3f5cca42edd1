import { join } from 'node:path'
import { eq } from 'drizzle-orm'
import { expect } from 'vitest'
import { recoveryPoints } from '../src/database/tables/recovery-point.ts'
import { openVault } from '../src/recover/find-copy.ts'
import { restoreAsFiles } from '../src/restore/as-files.ts'
import { generateIdentity } from '../src/secret/age-identity.ts'
import { directoryStorage } from '../src/storage/directory.ts'
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
import { test } from './kit/test.ts'

const now = () => new Date()

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
