import { expect } from 'vitest'
import type { Database } from '../src/database/connect.ts'
import { notifications } from '../src/database/tables/notification.ts'
import { changePolicy } from '../src/instance/change-policy.ts'
import { lockInstance } from '../src/instance/record/record-backup.ts'
import { type CreatePolicy, createPolicy } from '../src/policy/create.ts'
import { decideRetention } from '../src/retention/decide-retention.ts'
import { ForbiddenByImmutability } from '../src/vault/vault.ts'
import { addLife, addPoints, asked, dumpOf, instanceOf, now, refusalOf } from './kit/lifecycle.ts'
import { findRecoveryPointsOf } from './kit/points.ts'
import { nightly } from './kit/schedule.ts'
import { test } from './kit/test.ts'

async function policyOf(database: Database, rules: Partial<CreatePolicy>): Promise<string> {
  const policy = await createPolicy(database, { name: 'another', defaultRetention: 'P30D', ...rules, ...asked })
  return policy.id
}

test('points that are there keep tag and end to the second, and the next one falls under the new policy', async ({
  database,
}) => {
  const ends = { tag: 'WEEKLY', expiresAt: new Date('2027-02-28T23:59:59.000Z') } as const
  const instance = await addLife(database)
  await addPoints(database, instance, [{ madeDaysAgo: 2, endsInDays: 1, ...ends }])
  const before = await findRecoveryPointsOf(database, instance.id)
  const policyId = await policyOf(database, {
    defaultRetention: 'P7D',
    retentionRules: [{ tag: 'MONTHLY', duration: 'P3Y' }],
  })
  const { instance: changed } = await changePolicy(database, { instanceId: instance.id, policyId, ...asked })
  expect(changed).toMatchObject({ policyId, policyVersion: 1, state: 'PROTECTION_CONFIGURED' })
  expect(await findRecoveryPointsOf(database, instance.id)).toEqual(before)
  const { policy } = await database.transaction((tx) => lockInstance(tx, instance.id))
  const next = decideRetention(policy.rules, { createdAt: now, lastTagged: {}, requested: 'SCHEDULE' })
  expect(next).toMatchObject({ tag: 'MONTHLY', expiresAt: new Date('2029-03-01T12:00:00.000Z') })
})

test('backups start by the new schedule from now on', async ({ database }) => {
  const instance = await addLife(database, { points: [] })
  const hourly = { kind: 'HOURLY', everyHours: 6, minute: 30, spreadMinutes: 0 } as const
  const policyId = await policyOf(database, { schedule: hourly })
  const { instance: changed } = await changePolicy(database, { instanceId: instance.id, policyId, ...asked })
  const next = new Date('2026-03-01T12:30:00.000Z')
  expect(changed).toMatchObject({ nextNominalAt: next, nextBackupAt: next })
})

test('a start that waits within its spread is not lost to a policy that has it too', async ({ database }) => {
  const open = new Date('2026-03-01T11:50:00.000Z')
  const instance = await addLife(database, {
    instance: { nextNominalAt: open, nextBackupAt: new Date('2026-03-01T12:20:00.000Z'), jitter: 0.5 },
  })
  const schedule = { kind: 'DAILY' as const, times: ['11:50'], spreadMinutes: 60 }
  const policyId = await policyOf(database, { schedule })
  const { instance: changed } = await changePolicy(database, { instanceId: instance.id, policyId, ...asked })
  expect(changed).toMatchObject({ nextNominalAt: open, nextBackupAt: new Date('2026-03-01T12:20:00.000Z') })
})

test('a policy that starts backups at the same times leaves the plan as it is', async ({ database }) => {
  const plan = {
    nextNominalAt: new Date('2026-03-01T14:00:00.000Z'),
    nextBackupAt: new Date('2026-03-01T14:20:00.000Z'),
    overdueAt: new Date('2026-03-01T12:30:00.000Z'),
  }
  const schedule = { kind: 'DAILY' as const, times: ['14:00'], spreadMinutes: 60 }
  const [one, other] = [
    await policyOf(database, { name: 'one', schedule }),
    await policyOf(database, { name: 'other', schedule, defaultRetention: 'P60D' }),
  ]
  const instance = await addLife(database, { instance: { policyId: one, ...plan } })
  const { instance: changed } = await changePolicy(database, { instanceId: instance.id, policyId: other, ...asked })
  expect(changed).toMatchObject({ policyId: other, ...plan })
})

test('an instance whose protection is stopped changes its policy and starts nothing', async ({ database }) => {
  const policyId = await policyOf(database, { schedule: nightly })
  for (const state of ['PROTECTION_STOPPED', 'BACKUP_SCHEDULES_SUSPENDED'] as const) {
    const instance = await addLife(database, { state })
    await changePolicy(database, { instanceId: instance.id, policyId, ...asked })
    expect(await instanceOf(database, instance.id)).toEqual({ ...instance, policyId, policyVersion: 1 })
  }
})

test('what becomes shorter is answered and told', async ({ database }) => {
  const instance = await addLife(database)
  const policyId = await policyOf(database, { defaultRetention: 'P7D', schedule: nightly })
  const { shortenings } = await changePolicy(database, { instanceId: instance.id, policyId, ...asked })
  expect(shortenings).toEqual(['Recovery points with the tag DEFAULT are kept P7D instead of P30D.'])
  expect(await database.select().from(notifications)).toMatchObject([
    { kind: 'POLICY_SHORTENED', severity: 'WARNING', instanceId: instance.id, policyId, at: now },
  ])
  const longer = await policyOf(database, { name: 'longer', defaultRetention: 'P60D', schedule: nightly })
  await changePolicy(database, { instanceId: instance.id, policyId: longer, ...asked })
  expect(await database.select().from(notifications)).toHaveLength(1)
})

test.for(['UNLOCKED', 'LOCKED'] as const)(
  'a vault that is %s refuses a policy that keeps less',
  async (immutability, { database }) => {
    const instance = await addLife(database, { vault: { immutability } })
    const shorter = await policyOf(database, { defaultRetention: 'P29D', schedule: nightly })
    const longer = await policyOf(database, { name: 'longer', defaultRetention: 'P31D', schedule: nightly })
    const before = await dumpOf(database)
    const refusal = await refusalOf(changePolicy(database, { instanceId: instance.id, policyId: shorter, ...asked }))
    expect(refusal).toBeInstanceOf(ForbiddenByImmutability)
    expect(refusal).toMatchObject({
      vaultId: instance.vaultId,
      rule: 'Recovery points with the tag DEFAULT are kept P29D instead of P30D.',
    })
    expect(await dumpOf(database)).toEqual(before)
    const changed = await changePolicy(database, { instanceId: instance.id, policyId: longer, ...asked })
    expect(changed.instance.policyId).toBe(longer)
  },
)
