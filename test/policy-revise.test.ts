import { eq } from 'drizzle-orm'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { backupInstances } from '../src/database/tables/backup-instance.ts'
import { notifications } from '../src/database/tables/notification.ts'
import { recoveryPoints } from '../src/database/tables/recovery-point.ts'
import { vaults } from '../src/database/tables/vault.ts'
import { encodeNodeId } from '../src/graphql/schema/ids.ts'
import type { BackupInstance } from '../src/instance/instance.ts'
import { createPolicy } from '../src/policy/create.ts'
import type { BackupPolicy } from '../src/policy/policy.ts'
import { overdueAfter } from '../src/policy/schedule.ts'
import { type Api, at, listAt, startApi } from './kit/api.ts'
import { addInstance, addPoint, addVault } from './kit/catalogue.ts'

let api: Api
let policy: BackupPolicy
beforeEach(async () => {
  api = await startApi()
  policy = await createPolicy(api.database, {
    name: 'twice a day',
    timeZone: 'Europe/Berlin',
    schedule: { kind: 'DAILY', times: ['02:00', '14:00'], spreadMinutes: 10 },
    defaultRetention: 'P30D',
    retentionRules: [
      { tag: 'WEEKLY', duration: 'P12W' },
      { tag: 'YEARLY', duration: 'P5Y' },
    ],
    actor: 'tester',
    now: api.clock.now,
  })
})
afterEach(() => api[Symbol.asyncDispose]())

const revise = (input: Record<string, unknown>) =>
  api.mutate(
    'revisePolicy',
    { policy: encodeNodeId('BackupPolicy', policy.id), ...input },
    `... on RevisePolicyPayload { instanceCount shortenings
        policy { version timeZone scheduleDescription defaultRetention retentionRules { tag duration } } }
     ... on PolicyVersionChanged { currentVersion policy { name } } ... on InvalidInput { field } ... on NotFound { kind }
     ... on ForbiddenByImmutability { vault { name } rule }`,
  )

async function instanceNow({ id }: BackupInstance): Promise<BackupInstance> {
  const [found] = await api.database.select().from(backupInstances).where(eq(backupInstances.id, id))
  if (!found) throw new Error('The instance is gone.')
  return found
}

const tell = () => api.database.select().from(notifications)
const daily = (...times: string[]) => ({ daily: { times } })

test('a revision is a new version that all instances follow, and those that are protected are planned anew', async () => {
  const running = await addInstance(api, { name: 'running', policy })
  const stopped = await addInstance(api, { name: 'stopped', policy, state: 'PROTECTION_STOPPED' })
  const deleted = await addInstance(api, { name: 'deleted', policy, state: 'SOFT_DELETED' })
  const other = await addInstance(api, { name: 'other' })
  const revised = await revise({ schedule: { daily: { times: ['03:00', '12:00', '20:00'], spreadMinutes: 30 } } })
  expect(revised).toMatchObject({
    instanceCount: 3,
    shortenings: [],
    policy: { version: 2, scheduleDescription: 'Every day at 03:00, 12:00 and 20:00, Europe/Berlin' },
  })
  const nominal = new Date('2026-03-01T19:00:00Z')
  const planned = await instanceNow(running)
  expect(planned).toMatchObject({
    policyVersion: 2,
    nextNominalAt: nominal,
    nextBackupAt: new Date(nominal.getTime() + Math.floor(running.jitter * 30 * 60_000)),
    overdueAt: new Date('2026-03-01T23:00:00Z'),
  })
  for (const each of [stopped, deleted]) {
    expect(await instanceNow(each)).toEqual({ ...each, policyVersion: 2 })
  }
  expect(await instanceNow(other)).toEqual(other)
})

test('recovery points that are there keep their tag and their end, and stay with the version they were made by', async () => {
  const instance = await addInstance(api, { policy })
  await addPoint(api, instance, { tag: 'WEEKLY', expiresAt: new Date('2026-05-24T12:00:00.123Z') })
  const before = await api.database.select().from(recoveryPoints)
  expect(await revise({ defaultRetention: 'P7D', retentionRules: null })).toMatchObject({ policy: { version: 2 } })
  expect(await api.database.select().from(recoveryPoints)).toEqual(before)
})

test('a start that is due but not taken yet stays due where the new schedule has one since', async () => {
  const due = await addInstance(api, { name: 'due', policy })
  const missed = new Date('2026-03-01T01:00:00Z')
  await api.database.update(backupInstances).set({ nextNominalAt: missed, nextBackupAt: missed })
  await revise({ schedule: daily('02:00', '13:00', '20:00') })
  expect(await instanceNow(due)).toMatchObject({ nextNominalAt: new Date('2026-03-01T12:00:00Z') })
  await revise({ schedule: daily('01:00', '12:59', '20:00') })
  expect(await instanceNow(due)).toMatchObject({ nextNominalAt: new Date('2026-03-01T19:00:00Z') })
})

test('an instance that is overdue stays so, and one without a schedule is never', async () => {
  const late = await addInstance(api, { name: 'late', policy })
  const since = new Date('2026-02-28T00:00:00Z')
  await api.database.update(backupInstances).set({ overdueAt: since })
  const { policy: revised } = await revise({ schedule: { hourly: {} } })
  expect(revised).toMatchObject({ version: 2 })
  expect(await instanceNow(late)).toMatchObject({ overdueAt: since })
  await revise({ schedule: null })
  expect(await instanceNow(late)).toMatchObject({ overdueAt: null, nextNominalAt: null, nextBackupAt: null })
  await revise({ schedule: { hourly: { minute: 30 } } })
  const rules = { timeZone: 'UTC', schedule: { kind: 'HOURLY' as const, everyHours: 1, minute: 30, spreadMinutes: 10 } }
  expect(await instanceNow(late)).toMatchObject({ overdueAt: overdueAfter(rules, api.clock.now) })
})

test('a revision of the retention alone leaves every plan as it is', async () => {
  const instance = await addInstance(api, { policy })
  const plan = {
    nextNominalAt: new Date('2026-03-01T13:00:00Z'),
    nextBackupAt: new Date('2026-03-01T13:07:00Z'),
    overdueAt: new Date('2026-03-01T12:30:00Z'),
  }
  await api.database.update(backupInstances).set(plan)
  expect(await revise({ defaultRetention: 'P40D', retentionRules: null })).toMatchObject({ policy: { version: 2 } })
  expect(await instanceNow(instance)).toEqual({ ...instance, ...plan, policyVersion: 2 })
})

test('what is left out stays, and all versions can be read', async () => {
  expect(await revise({ timeZone: 'america/new_york' })).toMatchObject({
    policy: {
      version: 2,
      timeZone: 'America/New_York',
      defaultRetention: 'P30D',
      scheduleDescription: 'Every day at 02:00 and 14:00, America/New_York',
      retentionRules: [{ tag: 'WEEKLY' }, { tag: 'YEARLY' }],
    },
  })
  const { data } = await api.ask('{ policies { nodes { versions { version timeZone createdBy } } } }')
  expect(listAt(listAt(data, 'policies.nodes')[0], 'versions')).toEqual([
    { version: 2, timeZone: 'America/New_York', createdBy: 'local' },
    { version: 1, timeZone: 'Europe/Berlin', createdBy: 'tester' },
  ])
})

test('rules that say the same make no new version', async () => {
  expect(await revise({ timeZone: 'Europe/Berlin', schedule: daily('14:00', '02:00') })).toMatchObject({
    policy: { version: 1 },
  })
  const { data } = await api.ask('{ auditLog { nodes { action } } }')
  expect(listAt(data, 'auditLog.nodes')).not.toContainEqual({ action: 'revisePolicy' })
})

test('a revision made for another version is refused', async () => {
  await revise({ defaultRetention: 'P40D', expectedVersion: 1 })
  expect(await revise({ defaultRetention: 'P50D', expectedVersion: 1 })).toMatchObject({
    __typename: 'PolicyVersionChanged',
    currentVersion: 2,
    policy: { name: 'twice a day' },
  })
})

test('of revisions at once for the same version one is made', async () => {
  const instance = await addInstance(api, { policy })
  const answers = await Promise.all(
    [31, 32, 33, 34, 35].map((days) => revise({ defaultRetention: `P${days}D`, expectedVersion: 1 })),
  )
  expect(answers.map(({ __typename }) => __typename).sort()).toEqual([
    'PolicyVersionChanged',
    'PolicyVersionChanged',
    'PolicyVersionChanged',
    'PolicyVersionChanged',
    'RevisePolicyPayload',
  ])
  expect(await instanceNow(instance)).toMatchObject({ policyVersion: 2 })
})

test('a dry run answers what the real run does, and changes nothing', async () => {
  const instance = await addInstance(api, { policy })
  const changes = {
    schedule: daily('02:00'),
    defaultRetention: 'P10D',
    retentionRules: [{ tag: 'YEARLY', duration: 'P1Y' }],
  }
  const before = await instanceNow(instance)
  const foreseen = await revise({ ...changes, dryRun: true })
  expect(foreseen).toMatchObject({
    instanceCount: 1,
    policy: { version: 2, defaultRetention: 'P10D' },
    shortenings: [
      'Recovery points with the tag DEFAULT are kept P10D instead of P30D.',
      'The rule WEEKLY (P12W) is gone: its recovery points are kept P10D by default.',
      'Recovery points with the tag YEARLY are kept P1Y instead of P5Y.',
      'Backups start less often: "Every day at 02:00, Europe/Berlin" instead of "Every day at 02:00 and 14:00, Europe/Berlin".',
    ],
  })
  expect(await instanceNow(instance)).toEqual(before)
  expect(await tell()).toEqual([])
  expect(await revise(changes)).toEqual(foreseen)
})

test('a revision that shortens is told, with what becomes shorter, and written down as it was and as it is', async () => {
  await addInstance(api, { policy })
  await revise({ defaultRetention: 'P20D' })
  expect(await tell()).toMatchObject([
    {
      kind: 'POLICY_SHORTENED',
      severity: 'WARNING',
      policyId: policy.id,
      message:
        'Policy "twice a day", which 1 backup instance follows, was revised by local: Recovery points with the tag DEFAULT are kept P20D instead of P30D.',
    },
  ])
  await revise({ defaultRetention: 'P60D' })
  expect(await tell()).toHaveLength(1)
  const unguarded = 'What recovery points hold is no longer compared with those before: nothing holds expiry.'
  expect(await revise({ anomalyGate: null, dryRun: true })).toMatchObject({ shortenings: [unguarded] })
  expect(await tell()).toHaveLength(1)
  await revise({ anomalyGate: null })
  expect(await tell()).toHaveLength(2)
})

test('a revision that shortens is refused while an instance lies in an immutable vault, and one that does not is made', async () => {
  const vault = await addVault(api, 'fortress')
  const instance = await addInstance(api, { policy, vault, state: 'SOFT_DELETED' })
  const shorter = [
    { defaultRetention: 'P29D' },
    { retentionRules: [{ tag: 'WEEKLY', duration: 'P12W' }] },
    {
      retentionRules: [
        { tag: 'WEEKLY', duration: 'P11W' },
        { tag: 'YEARLY', duration: 'P5Y' },
      ],
    },
    { schedule: daily('02:00') },
    { schedule: null },
    { anomalyGate: null },
    { verification: { decode: null } },
  ]
  for (const immutability of ['UNLOCKED', 'LOCKED'] as const) {
    await api.database.update(vaults).set({ immutability }).where(eq(vaults.id, vault.id))
    for (const changes of shorter) {
      for (const dryRun of [true, false]) {
        expect(await revise({ ...changes, dryRun })).toMatchObject({
          __typename: 'ForbiddenByImmutability',
          vault: { name: 'fortress' },
          rule: expect.stringMatching(/\.$/),
        })
      }
    }
  }
  expect(await instanceNow(instance)).toEqual(instance)
  expect(await revise({ defaultRetention: 'P31D', schedule: daily('02:00', '08:00', '20:00') })).toMatchObject({
    policy: { version: 2 },
    shortenings: [],
  })
})

test('a revision that cannot be used names the field, and changes nothing', async () => {
  const bad: [string, Record<string, unknown>][] = [
    ['timeZone', { timeZone: null }],
    ['timeZone', { timeZone: 'Mars/Base' }],
    ['defaultRetention', { defaultRetention: null }],
    ['defaultRetention', { defaultRetention: 'P1D' }],
    ['schedule.daily.times[0]', { schedule: daily('30:00') }],
    // The rule for weeks that is there already.
    ['retentionRules[0].duration', { defaultRetention: 'P13W' }],
  ]
  for (const [field, changes] of bad) {
    expect(await revise(changes)).toMatchObject({ __typename: 'InvalidInput', field })
  }
  const unknown = '00000000-0000-4000-8000-000000000000'
  expect(await revise({ policy: encodeNodeId('BackupPolicy', unknown) })).toMatchObject({ kind: 'policy' })
  expect(await revise({ policy: encodeNodeId('Vault', policy.id) })).toMatchObject({ kind: 'policy' })
  const { data } = await api.ask('{ policies { nodes { version } } }')
  expect(at(listAt(data, 'policies.nodes')[0], 'version')).toBe(1)
})
