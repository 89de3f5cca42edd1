import { join } from 'node:path'
import { expect } from 'vitest'
import { notifications } from '../src/database/tables/notification.ts'
import { cancelJob } from '../src/instance/cancel-job.ts'
import { configureProtection, PlaceHeldBySoftDeleted } from '../src/instance/configure-protection.ts'
import {
  type DeleteBackupInstance,
  deleteBackupInstance,
  PointsOnHold,
} from '../src/instance/delete-backup-instance.ts'
import { PurgeHasBegun, undeleteBackupInstance } from '../src/instance/undelete-backup-instance.ts'
import { ConfirmationMismatch } from '../src/refusal.ts'
import { restoreToServer } from '../src/restore/to-server.ts'
import { openSecretBox } from '../src/secret/secret-box.ts'
import { removeServer, ServerBeingRestoredInto, ServerInUse } from '../src/server/remove.ts'
import { updateServerAddress } from '../src/server/update-address.ts'
import { ForbiddenByImmutability } from '../src/vault/vault.ts'
import { addLife, asked, daysFromNow, dumpOf, instanceOf, now, refusalOf, weekly } from './kit/lifecycle.ts'
import { findRecoveryPointsOf } from './kit/points.ts'
import { test } from './kit/test.ts'
import { waitFor } from './kit/wait-for.ts'

function deletionOf({ id, name }: { id: string; name: string }): DeleteBackupInstance {
  return { instanceId: id, confirmName: name, reason: 'DECOMMISSIONED', comment: 'Its server is gone.', ...asked }
}

test('a deleted instance can be had back until its purge, and that is told', async ({ database }) => {
  const instance = await addLife(database)
  const { effects } = await deleteBackupInstance(database, deletionOf(instance))
  expect(effects).toMatchObject({ removedAt: daysFromNow(14), keptForever: { ids: [] }, startsExpiring: { ids: [] } })
  expect(await instanceOf(database, instance.id)).toMatchObject({
    state: 'SOFT_DELETED',
    stopReason: 'DECOMMISSIONED',
    stopComment: 'Its server is gone.',
    deletedAt: now,
    scheduledPurgeAt: daysFromNow(14),
    expiryDueAt: null,
    nextBackupAt: null,
  })
  expect(await database.select().from(notifications)).toMatchObject([
    { kind: 'PROTECTION_DELETED', severity: 'WARNING', instanceId: instance.id, subjectName: instance.name },
  ])
  await undeleteBackupInstance(database, { instanceId: instance.id, ...asked })
  expect(await instanceOf(database, instance.id)).toMatchObject({
    state: 'PROTECTION_STOPPED',
    stopReason: null,
    deletedAt: null,
    scheduledPurgeAt: null,
    nextBackupAt: null,
  })
  expect(await findRecoveryPointsOf(database, instance.id)).toHaveLength(7)
})

test('where the vault has no soft delete, the purge is due at once', async ({ database }) => {
  const instance = await addLife(database, { vault: { softDeleteDays: 0 } })
  await deleteBackupInstance(database, deletionOf(instance))
  expect(await instanceOf(database, instance.id)).toMatchObject({ state: 'SOFT_DELETED', scheduledPurgeAt: now })
})

test('an instance is not had back once its purge has begun', async ({ database }) => {
  const begun = daysFromNow(-1)
  const instance = await addLife(database, { state: 'SOFT_DELETED', instance: { purgeStartedAt: begun } })
  const before = await dumpOf(database)
  const refusal = await refusalOf(undeleteBackupInstance(database, { instanceId: instance.id, ...asked }))
  expect(refusal).toBeInstanceOf(PurgeHasBegun)
  expect(refusal).toMatchObject({ purgeStartedAt: begun })
  expect(await dumpOf(database)).toEqual(before)
})

test('only the exact name confirms a deletion', async ({ database }) => {
  const instance = await addLife(database)
  const before = await dumpOf(database)
  const { name } = instance
  const wrong = ['', ' ', `${name} `, name.toUpperCase(), `${name}\0`, `${name.normalize('NFD')}\u0301`, 'my password']
  for (const confirmName of wrong) {
    const refusal = await refusalOf(deleteBackupInstance(database, { ...deletionOf(instance), confirmName }))
    expect(refusal).toBeInstanceOf(ConfirmationMismatch)
    expect(refusal).toMatchObject({ field: 'confirmName' })
    expect(String(refusal)).not.toContain('my password')
  }
  expect(await dumpOf(database)).toEqual(before)
})

test('points on hold keep their instance from being deleted; a hold that has ended does not', async ({ database }) => {
  const [first, second, third, ...others] = weekly
  if (!first || !second || !third) throw new Error('There are too few points.')
  const held = await addLife(database, {
    points: [
      { ...first, heldAt: now },
      { ...second, heldAt: now, holdUntil: daysFromNow(1) },
      { ...third, heldAt: daysFromNow(-2), holdUntil: daysFromNow(-1) },
      ...others,
    ],
  })
  const before = await dumpOf(database)
  const refusal = await refusalOf(deleteBackupInstance(database, deletionOf(held)))
  expect(refusal).toBeInstanceOf(PointsOnHold)
  expect(refusal).toMatchObject({ count: 2 })
  expect(await dumpOf(database)).toEqual(before)
  const free = await addLife(database, { points: [{ ...third, heldAt: daysFromNow(-2), holdUntil: daysFromNow(-1) }] })
  expect((await deleteBackupInstance(database, deletionOf(free))).instance.state).toBe('SOFT_DELETED')
})

test.for(['UNLOCKED', 'LOCKED'] as const)(
  'a vault that is %s gives up no point before its time',
  async (immutability, { database }) => {
    const kept = await addLife(database, { vault: { immutability } })
    const before = await dumpOf(database)
    const refusal = await refusalOf(deleteBackupInstance(database, deletionOf(kept)))
    expect(refusal).toBeInstanceOf(ForbiddenByImmutability)
    expect(refusal).toMatchObject({ vaultId: kept.vaultId })
    expect(String(refusal)).toContain('4 recovery points whose time is not over')
    expect(await dumpOf(database)).toEqual(before)
    const over = await addLife(database, { vault: { immutability }, points: weekly.slice(0, 3) })
    expect((await deleteBackupInstance(database, deletionOf(over))).instance.state).toBe('SOFT_DELETED')
  },
)

test('a deleted instance holds the place of its server in the vault, and the server stays registered', async ({
  database,
}) => {
  const instance = await addLife(database)
  await deleteBackupInstance(database, deletionOf(instance))
  const { serverId, vaultId, policyId } = instance
  const again = { serverId, vaultId, policyId, name: 'again', ...asked }
  const refusal = await refusalOf(configureProtection(database, again))
  expect(refusal).toBeInstanceOf(PlaceHeldBySoftDeleted)
  expect(refusal).toMatchObject({ instanceId: instance.id, scheduledPurgeAt: daysFromNow(14) })
  expect(await refusalOf(removeServer(database, { serverId, ...asked }))).toBeInstanceOf(ServerInUse)
})

test('a server that is being restored into stays registered, and where it is', async ({ database, folder }) => {
  const secrets = await openSecretBox(join(folder, 'key'))
  const [source, target] = [await addLife(database), await addLife(database, { points: [] })]
  const [newest] = await findRecoveryPointsOf(database, source.id)
  const { serverId } = target
  const to = { serverId, databases: null, ownership: { kind: 'NONE' } as const }
  const restore = await restoreToServer(database, { recoveryPointId: newest?.id ?? '', ...to, ...asked })
  await database.execute(`delete from backup_instances where id = '${target.id}'`)
  const move = (dryRun: boolean) => {
    const there = { host: 'standby.example.com', password: 'secret word', dryRun }
    return updateServerAddress(database, { serverId, ...there, secrets, ...asked })
  }
  for (const ask of [() => removeServer(database, { serverId, ...asked }), () => move(true), () => move(false)]) {
    const refusal = await refusalOf(ask())
    expect(refusal).toBeInstanceOf(ServerBeingRestoredInto)
    expect(refusal).toMatchObject({ runningJobId: restore.id })
  }
  await cancelJob(database, { jobId: restore.id, ...asked })
  expect(await move(false)).toMatchObject({ host: 'standby.example.com' })
})

test('a server is not moved away under a restore that is being asked for', async ({ database, folder }) => {
  const secrets = await openSecretBox(join(folder, 'key'))
  const [source, target] = [await addLife(database), await addLife(database, { points: [] })]
  const [newest] = await findRecoveryPointsOf(database, source.id)
  const { serverId } = target
  const there = { host: 'standby.example.com', password: 'secret word', dryRun: false }
  let hasEnded = false
  const move = () =>
    refusalOf(updateServerAddress(database, { serverId, ...there, secrets, ...asked })).finally(() => {
      hasEnded = true
    })
  const { moved } = await database.transaction(async (tx) => {
    const to = { serverId, databases: null, ownership: { kind: 'NONE' } as const }
    await restoreToServer(tx, { recoveryPointId: newest?.id ?? '', ...to, ...asked })
    const moved = Promise.allSettled([move()])
    await waitFor('the move to wait for the request, or to end', async () => {
      const waiting = await database.execute(
        `select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`,
      )
      return hasEnded || waiting.length > 0
    })
    return { moved }
  })
  expect(await moved).toMatchObject([{ value: expect.any(ServerBeingRestoredInto) }])
})
