import { readdir, rename } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'vitest'
import { backUpNow } from '../src/instance/back-up-now.ts'
import { verifyRecoveryPoint } from '../src/recovery-point/verify.ts'
import { rebuildCatalogue } from '../src/vault/import/rebuild-catalogue.ts'
import { backUpMetadata } from '../src/vault/metadata/back-up.ts'
import { findRecoveryPointsOf } from './kit/points.ts'
import { actor, type Protected, protect, startService } from './kit/protected-server.ts'
import { backUp } from './kit/replica.ts'
import { temporaryFolder } from './kit/temporary-folder.ts'
import { test } from './kit/test.ts'

const asked = () => ({ actor, now: new Date() })

async function swap(one: string, other: string): Promise<void> {
  await rename(one, `${one}.aside`)
  await rename(other, one)
  await rename(`${one}.aside`, other)
}

test('two vaults whose directories were swapped are written by nobody, and nothing is held against their points', {
  timeout: 180_000,
}, async ({ databaseUrl, folder, source }) => {
  await using service = await startService({ databaseUrl, folder })
  const { database } = service
  await using elsewhere = await temporaryFolder()
  const one = await protect(service, source, folder)
  const other = await protect(service, source, elsewhere.path)
  const both = [one, other]
  const points = [await backUp(service, one.instance.id), await backUp(service, other.instance.id)]
  const filesOf = ({ vaultPath }: Protected) => readdir(vaultPath, { recursive: true })
  const filesBefore = [await filesOf(one), await filesOf(other)]
  await swap(one.vaultPath, other.vaultPath)

  const failed = { status: 'FAILED', error: { code: 'WRONG_KEY' } }
  for (const { instance, vault } of both) {
    const jobs = [
      await backUpNow(database, { instanceId: instance.id, ...asked() }),
      await backUpMetadata(database, { vaultId: vault.id, ...asked() }),
      await rebuildCatalogue(database, { vaultId: vault.id, readBack: true, dryRun: false, ...asked() }),
    ]
    for (const { id } of points.filter(({ vaultId }) => vaultId === vault.id)) {
      jobs.push(await verifyRecoveryPoint(database, { recoveryPointId: id, level: 'READ_BACK', ...asked() }))
    }
    expect(jobs).toHaveLength(4)
    for (const { id, operation } of jobs) expect(await service.ended(id), operation).toMatchObject(failed)
  }
  expect([await filesOf(other), await filesOf(one)]).toEqual(filesBefore)
  for (const { instance } of both) {
    expect(await findRecoveryPointsOf(database, instance.id)).toMatchObject([{ state: 'AVAILABLE', damage: [] }])
  }

  await swap(one.vaultPath, other.vaultPath)
  for (const { instance } of both) await backUp(service, instance.id)
  expect(await readdir(join(one.vaultPath, 'points', one.instance.id))).toHaveLength(2)
})
