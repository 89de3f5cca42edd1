import { eq } from 'drizzle-orm'
import { describe, expect } from 'vitest'
import type { Database } from '../src/database/connect.ts'
import { backupInstances } from '../src/database/tables/backup-instance.ts'
import { lockInstance, recordBackup } from '../src/instance/record/record-backup.ts'
import { recordBackupFailure } from '../src/instance/record/record-backup-failure.ts'
import { recordConfiguration, recordConfigurationFailure } from '../src/instance/record/record-configuration.ts'
import { recountOverdue } from '../src/instance/schedule/recount-overdue.ts'
import { recordDamage } from '../src/recovery-point/record-damage.ts'
import { recordProof } from '../src/recovery-point/record-proof.ts'
import { addScheduled, addScheduledPoint, instanceNow } from './kit/schedule.ts'
import { test } from './kit/test.ts'

const at = (text: string) => new Date(text)
const plannedAt = at('2026-03-01T12:00:00Z')
const inTransaction = (database: Database, work: (tx: Database) => Promise<void>) => database.transaction(work)

describe('configuring protection', () => {
  test('plans the first start, at the place of the instance within the spread', async ({ database }) => {
    const schedule = { kind: 'DAILY' as const, times: ['02:00'], spreadMinutes: 60 }
    const parts = { plannedAt, schedule, jitter: 0.5, state: 'CONFIGURING_PROTECTION' as const }
    const [instance] = await addScheduled(database, parts)
    const id = instance?.id ?? ''
    expect(instance).toMatchObject({ nextNominalAt: null, nextBackupAt: null, overdueAt: null })
    await inTransaction(database, (tx) => recordConfiguration(tx, { instanceId: id, now: plannedAt }))
    expect(await instanceNow(database, id)).toMatchObject({
      state: 'PROTECTION_CONFIGURED',
      stateSince: plannedAt,
      nextNominalAt: at('2026-03-02T02:00:00Z'),
      nextBackupAt: at('2026-03-02T02:30:00Z'),
      // The start, the whole spread, and half of the time to the start after it.
      overdueAt: at('2026-03-02T15:00:00Z'),
      health: 'HEALTHY',
      healthSince: null,
    })
  })

  test('without a schedule plans nothing', async ({ database }) => {
    const [instance] = await addScheduled(database, { plannedAt, schedule: null, state: 'CONFIGURING_PROTECTION' })
    const id = instance?.id ?? ''
    await inTransaction(database, (tx) => recordConfiguration(tx, { instanceId: id, now: plannedAt }))
    expect(await instanceNow(database, id)).toMatchObject({
      state: 'PROTECTION_CONFIGURED',
      nextNominalAt: null,
      nextBackupAt: null,
      overdueAt: null,
    })
  })

  test('that fails says so by the health, until it succeeds', async ({ database }) => {
    const [instance] = await addScheduled(database, { plannedAt, state: 'CONFIGURING_PROTECTION' })
    const instanceId = instance?.id ?? ''
    const error = { message: 'The password is wrong.', isUserError: true }
    await inTransaction(database, (tx) => recordConfigurationFailure(tx, { instanceId, error, now: plannedAt }))
    expect(await instanceNow(database, instanceId)).toMatchObject({
      state: 'CONFIGURING_PROTECTION_FAILED',
      health: 'DEGRADED',
      healthSince: plannedAt,
      failuresInARow: 1,
    })
    await database.update(backupInstances).set({ state: 'CONFIGURING_PROTECTION' })
    const now = at('2026-03-01T13:00:00Z')
    await inTransaction(database, (tx) => recordConfiguration(tx, { instanceId, now }))
    expect(await instanceNow(database, instanceId)).toMatchObject({
      health: 'HEALTHY',
      healthSince: now,
      failuresInARow: 0,
    })
  })
})

describe('the health of an instance', () => {
  test('says whose trouble it is, since when, and how often in a row', async ({ database }) => {
    const [instance] = await addScheduled(database, { plannedAt })
    const instanceId = instance?.id ?? ''
    const fail = (isUserError: boolean, day: string) =>
      inTransaction(database, (tx) => recordBackupFailure(tx, { instanceId, error: { isUserError }, now: at(day) }))
    const health = async () => {
      const { health, healthSince, failuresInARow } = await instanceNow(database, instanceId)
      return [health, healthSince?.toISOString().slice(0, 10), failuresInARow]
    }
    await fail(true, '2026-03-02')
    await fail(true, '2026-03-03')
    expect(await health()).toEqual(['DEGRADED', '2026-03-02', 2])
    await fail(false, '2026-03-04')
    expect(await health()).toEqual(['UNHEALTHY', '2026-03-04', 3])
    await inTransaction(database, (tx) => recordBackupFailure(tx, { instanceId, error: null, now: at('2026-03-05') }))
    expect(await health()).toEqual(['UNHEALTHY', '2026-03-04', 3])
  })
})

describe('a period whose point is damaged', () => {
  test('is free for the next backup that succeeds, until the point is whole again', async ({ database }) => {
    const [instance] = await addScheduled(database, { plannedAt })
    const id = instance?.id ?? ''
    const [old, latest] = [at('2026-02-02T02:05:00.000Z'), at('2026-03-02T02:05:00.000Z')]
    const daily = at('2026-03-03T02:05:00.000Z').toISOString()
    const [first, second] = [
      await addScheduledPoint(database, instance, { createdAt: old, tag: 'MONTHLY' }),
      await addScheduledPoint(database, instance, { createdAt: latest, tag: 'MONTHLY' }),
    ]
    // The last daily point has been removed since.
    const lastTaggedAt = { MONTHLY: latest.toISOString(), DAILY: daily }
    await database.update(backupInstances).set({ lastTaggedAt })
    const tagged = async (record: (tx: Database) => Promise<void>) => {
      await inTransaction(database, (tx) => recountOverdue(tx, id, () => record(tx)))
      return (await instanceNow(database, id)).lastTaggedAt
    }
    const damage = ['It is cut short.']
    const prove = (recoveryPointId: string) =>
      tagged((tx) => recordProof(tx, { recoveryPointId, proof: 'DECODED', now: at('2026-03-03T12:00:00Z') }))
    const spoil = (recoveryPointId: string) =>
      tagged((tx) => recordDamage(tx, { recoveryPointId, damage, level: 'READ_BACK', now: at('2026-03-03T12:00:00Z') }))
    expect(await prove(second.id)).toEqual(lastTaggedAt)
    expect(await spoil(second.id)).toEqual({ MONTHLY: old.toISOString(), DAILY: daily })
    expect(await spoil(first.id)).toEqual({ DAILY: daily })
    expect(await prove(second.id)).toEqual(lastTaggedAt)
    expect(await prove(first.id)).toEqual(lastTaggedAt)
  })
})

describe('when an instance is overdue', () => {
  test('is counted from its newest available point: a damaged one counts no more until it is whole again', async ({
    database,
  }) => {
    const [instance] = await addScheduled(database, { plannedAt })
    const id = instance?.id ?? ''
    const old = await addScheduledPoint(database, instance, { createdAt: at('2026-03-02T02:05:00Z') })
    const latest = await addScheduledPoint(database, instance, { createdAt: at('2026-03-03T02:05:00Z') })
    const overdueAt = async () => (await instanceNow(database, id)).overdueAt
    const found = { damage: ['It is cut short.'], level: 'READ_BACK' as const, now: at('2026-03-03T12:00:00Z') }
    const damage = (recoveryPointId: string) =>
      inTransaction(database, (tx) => recountOverdue(tx, id, () => recordDamage(tx, { recoveryPointId, ...found })))
    await damage(latest.id)
    expect(await overdueAt()).toEqual(at('2026-03-03T14:00:00Z'))
    await damage(old.id)
    expect(await overdueAt()).toEqual(at('2026-03-02T14:00:00Z'))
    const proof = { recoveryPointId: latest.id, proof: 'DECODED' as const, now: at('2026-03-03T12:00:00Z') }
    await inTransaction(database, (tx) => recountOverdue(tx, id, () => recordProof(tx, proof)))
    expect(await overdueAt()).toEqual(at('2026-03-04T14:00:00Z'))
  })

  test('stays as it is when a verification changes nothing about the newest point', async ({ database }) => {
    const [instance] = await addScheduled(database, { plannedAt })
    const instanceId = instance?.id ?? ''
    const old = await addScheduledPoint(database, instance, { createdAt: at('2026-03-02T02:05:00Z') })
    const newest = await addScheduledPoint(database, instance, { createdAt: at('2026-03-03T02:05:00Z') })
    // As a policy whose schedule was changed leaves it.
    const overdueAt = at('2026-03-20T14:00:00Z')
    await database.update(backupInstances).set({ overdueAt })
    const now = at('2026-03-09T12:00:00Z')
    for (const { id: recoveryPointId } of [newest, old]) {
      const proof = { recoveryPointId, proof: 'DECODED' as const, now }
      await inTransaction(database, (tx) => recountOverdue(tx, instanceId, () => recordProof(tx, proof)))
    }
    const damage = { recoveryPointId: old.id, damage: ['It is cut short.'], level: 'READ_BACK' as const, now }
    await inTransaction(database, (tx) => recountOverdue(tx, instanceId, () => recordDamage(tx, damage)))
    expect(await instanceNow(database, instanceId)).toMatchObject({ overdueAt })
  })

  test('moves on with every backup that succeeds, which also ends its trouble', async ({ database }) => {
    const [instance] = await addScheduled(database, { plannedAt })
    const instanceId = instance?.id ?? ''
    const failed = { instanceId, error: { isUserError: false }, now: at('2026-03-02T02:01:00Z') }
    await inTransaction(database, (tx) => recordBackupFailure(tx, failed))
    const point = await addScheduledPoint(database, instance, { createdAt: at('2026-03-02T02:05:00Z') })
    const now = at('2026-03-02T02:06:00Z')
    await inTransaction(database, async (tx) => {
      await recordBackup(tx, { ...(await lockInstance(tx, instanceId)), point, now })
    })
    expect(await instanceNow(database, instanceId)).toMatchObject({
      overdueAt: at('2026-03-03T14:00:00Z'),
      health: 'HEALTHY',
      healthSince: now,
      failuresInARow: 0,
    })
  })

  test('is not said of an instance whose schedule does not run', async ({ database }) => {
    const [instance] = await addScheduled(database, { plannedAt, state: 'PROTECTION_STOPPED' })
    const id = instance?.id ?? ''
    const point = await addScheduledPoint(database, instance, { createdAt: plannedAt })
    const found = { level: 'READ_BACK' as const, now: at('2026-03-03T12:00:00Z') }
    const damage = { recoveryPointId: point.id, damage: ['It is cut short.'], ...found }
    await inTransaction(database, (tx) => recountOverdue(tx, id, () => recordDamage(tx, damage)))
    const [stopped] = await database.select().from(backupInstances).where(eq(backupInstances.id, id))
    expect(stopped?.overdueAt).toBeNull()
  })
})
