import postgres from 'postgres'
import { expect } from 'vitest'
import type { Cluster } from '../src/cluster/start.ts'
import { backUpNow } from '../src/instance/back-up-now.ts'
import { changePolicy } from '../src/instance/change-policy.ts'
import { deleteBackupInstance } from '../src/instance/delete-backup-instance.ts'
import { stopProtection } from '../src/instance/stop-protection.ts'
import { createPolicy } from '../src/policy/create.ts'
import { InvalidInput } from '../src/refusal.ts'
import { programsTalkingTo } from './kit/dump-process.ts'
import { instanceOf, refusalOf } from './kit/lifecycle.ts'
import { findRecoveryPointsOf } from './kit/points.ts'
import { actor, protect, runSql, startService } from './kit/protected-server.ts'
import { test } from './kit/test.ts'
import { waitFor } from './kit/wait-for.ts'

const asked = () => ({ actor, now: new Date(), dryRun: false })
const noWhy = { reason: null, comment: null }

/** Keeps every backup of the server waiting for a table until it is disposed of. */
async function holdBackups(source: Cluster): Promise<AsyncDisposable & { isWaitedFor: () => Promise<unknown> }> {
  await runSql(source, 'postgres', 'create table if not exists orders (id int)')
  const client = postgres(source.url('postgres'), { max: 1, onnotice: () => {} })
  await client.unsafe('begin; lock table orders in access exclusive mode')
  return {
    isWaitedFor: () =>
      waitFor('a backup that waits', async () => (await client`select from pg_locks where not granted`).length > 0),
    [Symbol.asyncDispose]: () => client.end({ timeout: 0 }),
  }
}

test('a backup under one of the tags of its policy is kept for as long as that rule says', async ({
  databaseUrl,
  folder,
  source,
}) => {
  await using service = await startService({ databaseUrl, folder })
  const { database } = service
  const { instance } = await protect(service, source, folder)
  const retentionRules = [{ tag: 'YEARLY' as const, duration: 'P10Y' }]
  const policy = await createPolicy(database, { name: 'yearly', defaultRetention: 'P30D', retentionRules, ...asked() })
  await changePolicy(database, { instanceId: instance.id, policyId: policy.id, ...asked() })
  const backUp = (retentionTag: 'YEARLY' | 'DAILY') =>
    backUpNow(database, { instanceId: instance.id, retentionTag, ...asked() })
  const refusal = await refusalOf(backUp('DAILY'))
  expect(refusal).toBeInstanceOf(InvalidInput)
  expect(refusal).toMatchObject({
    field: 'retentionTag',
    recommendedActions: ['Name one that it has: DEFAULT, YEARLY. Or leave the field out: then it is DEFAULT.'],
  })
  expect((await service.ended((await backUp('YEARLY')).id)).status).toBe('COMPLETED')
  const [point] = await findRecoveryPointsOf(database, instance.id)
  expect(point).toMatchObject({ tag: 'YEARLY', isTagRequested: true, policyName: 'yearly', policyVersion: 1 })
  expect(point?.expiresAt.getUTCFullYear()).toBe((point?.createdAt.getUTCFullYear() ?? 0) + 10)
})

test('a backup that runs is given up when its instance is deleted, and leaves nothing', async ({
  databaseUrl,
  folder,
  source,
}) => {
  await using service = await startService({ databaseUrl, folder }, { lockWaitMs: 60_000 })
  const { database } = service
  const { instance } = await protect(service, source, folder)
  const instanceId = instance.id
  await using held = await holdBackups(source)
  const backup = await backUpNow(database, { instanceId, ...asked() })
  await held.isWaitedFor()
  await deleteBackupInstance(database, { instanceId, confirmName: instance.name, ...noWhy, ...asked(), dryRun: true })
  const deleted = await deleteBackupInstance(database, { instanceId, confirmName: instance.name, ...noWhy, ...asked() })
  expect(deleted.cancelledJobIds).toEqual([backup.id])
  expect((await service.ended(backup.id)).status).toBe('CANCELLED')
  expect(await findRecoveryPointsOf(database, instanceId)).toEqual([])
  expect(await programsTalkingTo(source.port)).toEqual([])
})

test('a backup that runs while protection stops comes to its end', async ({ databaseUrl, folder, source }) => {
  await using service = await startService({ databaseUrl, folder }, { lockWaitMs: 60_000 })
  const { database } = service
  const { instance } = await protect(service, source, folder)
  const held = await holdBackups(source)
  const backup = await backUpNow(database, { instanceId: instance.id, ...asked() })
  await held.isWaitedFor()
  await stopProtection(database, { instanceId: instance.id, data: 'RETAIN_FOREVER', ...noWhy, ...asked() })
  await held[Symbol.asyncDispose]()
  expect((await service.ended(backup.id)).status).toBe('COMPLETED')
  expect(await findRecoveryPointsOf(database, instance.id)).toHaveLength(1)
  expect(await instanceOf(database, instance.id)).toMatchObject({
    state: 'PROTECTION_STOPPED',
    expiryDueAt: expect.any(Date),
  })
})
