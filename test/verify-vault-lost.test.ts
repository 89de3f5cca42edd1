import { rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'vitest'
import { backUpNow } from '../src/instance/back-up-now.ts'
import { verifyRecoveryPoint } from '../src/recovery-point/verify.ts'
import { findRecoveryPointsOf } from './kit/points.ts'
import { actor, firstFailure, protect, startService } from './kit/protected-server.ts'
import { sourceServer } from './kit/source-server.ts'
import { test } from './kit/test.ts'

test('a vault whose own header is damaged, or whose disk is gone, says nothing of the points in it', async ({
  databaseUrl,
  folder,
}) => {
  await using source = await sourceServer()
  await using service = await startService({ databaseUrl, folder })
  const { instance, vaultPath } = await protect(service, source, folder)
  const backup = await backUpNow(service.database, { instanceId: instance.id, actor, now: new Date() })
  expect(await service.ended(backup.id)).toMatchObject({ status: 'COMPLETED' })
  const [point] = await findRecoveryPointsOf(service.database, instance.id)
  const recoveryPointId = point?.id ?? ''
  const verify = () => verifyRecoveryPoint(service.database, { recoveryPointId, actor, now: new Date() })
  const stateNow = async () => (await findRecoveryPointsOf(service.database, instance.id))[0]?.state

  const header = join(vaultPath, 'holdfast-vault.json')
  await rename(header, `${header}.kept`)
  await writeFile(header, '{ "format": "holdfa')
  const told = await service.ended((await verify()).id)
  expect(told).toMatchObject({ status: 'FAILED', error: { code: 'ARTIFACT_DAMAGED' } })
  expect(await stateNow()).toBe('AVAILABLE')

  await rename(`${header}.kept`, header)
  await rename(vaultPath, `${vaultPath}.unmounted`)
  const failed = await firstFailure(service.database, (await verify()).id)
  expect(failed.error).toMatchObject({ code: 'STORAGE_UNREACHABLE' })
  expect(await stateNow()).toBe('AVAILABLE')
})
