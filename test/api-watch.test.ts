import { eq } from 'drizzle-orm'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { backupInstances } from '../src/database/tables/backup-instance.ts'
import { recoveryPoints } from '../src/database/tables/recovery-point.ts'
import { vaults } from '../src/database/tables/vault.ts'
import { encodeNodeId } from '../src/graphql/schema/ids.ts'
import { type Api, startApi } from './kit/api.ts'
import { addInstance, addPoint, addPolicy, addVault } from './kit/catalogue.ts'

let api: Api
beforeEach(async () => {
  api = await startApi()
})
afterEach(() => api[Symbol.asyncDispose]())

const rules = `version verification { decodesEveryPoint decodesWithin restoreEvery }
  anomalyGate { maxRowFallPercent maxByteFallPercent maxTableFallPercent }`
const daysAgo = (days: number) => new Date(api.clock.now.getTime() - days * 86_400_000)

async function create(input: object) {
  const query = `mutation ($input: CreatePolicyInput!) { createPolicy(input: $input) {
    ... on CreatePolicyPayload { policy { ${rules} } } ... on InvalidInput { field } } }`
  const { data, errors } = await api.ask(query, {
    input: { name: crypto.randomUUID(), defaultRetention: 'P30D', ...input },
  })
  expect(errors).toBeUndefined()
  return Object(data).createPolicy
}

describe('the rules of a policy', () => {
  test('are that all points are decoded within a month, and none restored, where nothing is said', async () => {
    expect((await create({})).policy).toMatchObject({
      verification: { decodesEveryPoint: false, decodesWithin: 'P30D', restoreEvery: null },
      anomalyGate: { maxRowFallPercent: 50, maxByteFallPercent: 50, maxTableFallPercent: 50 },
    })
  })

  test('are as they are given, and null is none', async () => {
    const given = {
      verification: { decode: { everyPoint: true }, restoreEvery: 'P7D' },
      anomalyGate: { maxRowFallPercent: 20, maxByteFallPercent: null },
    }
    expect((await create(given)).policy).toMatchObject({
      verification: { decodesEveryPoint: true, decodesWithin: null, restoreEvery: 'P7D' },
      anomalyGate: { maxRowFallPercent: 20, maxByteFallPercent: null, maxTableFallPercent: 50 },
    })
    expect((await create({ verification: null, anomalyGate: null })).policy).toMatchObject({
      verification: { decodesEveryPoint: false, decodesWithin: null, restoreEvery: null },
      anomalyGate: null,
    })
  })

  test.for<[object, string]>([
    [{ verification: { decode: { within: 'PT1H' } } }, 'verification.decode.within'],
    [{ verification: { decode: { within: 'P2Y' } } }, 'verification.decode.within'],
    [{ verification: { decode: { everyPoint: false } } }, 'verification.decode.everyPoint'],
    [{ verification: { restoreEvery: 'P400D' } }, 'verification.restoreEvery'],
    [{ anomalyGate: { maxRowFallPercent: 0 } }, 'anomalyGate.maxRowFallPercent'],
    [{ anomalyGate: { maxTableFallPercent: 100 } }, 'anomalyGate.maxTableFallPercent'],
  ])('are refused where they cannot be kept: %j', async ([given, field]) => {
    expect(await create(given)).toEqual({ field })
  })

  test('are revised one by one, as a new version, and told before and after', async () => {
    const policy = encodeNodeId('BackupPolicy', (await addPolicy(api)).id)
    const query = `mutation ($input: RevisePolicyInput!) { revisePolicy(input: $input) {
      ... on RevisePolicyPayload { policy { ${rules} } } } }`
    const revise = async (input: object) =>
      Object((await api.ask(query, { input: { policy, ...input } })).data).revisePolicy.policy
    expect(await revise({ verification: { restoreEvery: 'P14D' } })).toMatchObject({
      version: 2,
      verification: { decodesWithin: 'P30D', restoreEvery: 'P14D' },
    })
    expect(await revise({ anomalyGate: null })).toMatchObject({
      version: 3,
      verification: { decodesWithin: 'P30D', restoreEvery: 'P14D' },
      anomalyGate: null,
    })
    // The same again is no new version.
    expect(await revise({ verification: { decode: { within: 'P30D' } } })).toMatchObject({ version: 3 })
    const { data } = await api.ask('{ auditLog(first: 1) { nodes { action changes { field before after } } } }')
    expect(JSON.stringify(data)).toContain('anomalyGate')
  })
})

describe('a vault', () => {
  const update = async (vault: string, periodDays: number) => {
    const { data, errors } = await api.ask(
      `mutation ($input: UpdateVaultSecurityInput!) { updateVaultSecurity(input: $input) { __typename
        ... on UpdateVaultSecurityPayload { vault { scrub { periodDays } } changes { field before after } }
        ... on VaultLocked { rule } ... on InvalidInput { field } } }`,
      { input: { vault, scrub: { periodDays } } },
    )
    expect(errors).toBeUndefined()
    return Object(data).updateVaultSecurity
  }

  test('says how far its bytes have been read again, and what of them is late', async () => {
    const { id, vaultId } = await addInstance(api)
    const [instance] = await api.database.select().from(backupInstances).where(eq(backupInstances.id, id))
    if (!instance) throw new Error('There is no instance.')
    const ask = async () => {
      const { data, errors } = await api.ask(
        '{ vaults { nodes { scrub { periodDays oldestReadAt isBehind pointsDue } } } }',
      )
      expect(errors).toBeUndefined()
      return Object(data).vaults.nodes[0].scrub
    }
    expect(await ask()).toEqual({ periodDays: 30, oldestReadAt: null, isBehind: false, pointsDue: 0 })
    await addPoint(api, instance, { createdAt: daysAgo(40), lastReadAt: daysAgo(20) })
    expect(await ask()).toMatchObject({ oldestReadAt: daysAgo(20).toISOString(), isBehind: false })
    await addPoint(api, instance, { createdAt: daysAgo(35) })
    expect(await ask()).toMatchObject({ oldestReadAt: daysAgo(35).toISOString(), isBehind: true, pointsDue: 1 })
    await addPoint(api, instance, { createdAt: daysAgo(1), proof: 'WRITTEN' })
    expect(await ask()).toMatchObject({ oldestReadAt: null, pointsDue: 2 })
    await update(encodeNodeId('Vault', vaultId), 0)
    expect(await ask()).toMatchObject({ periodDays: 0, isBehind: false, pointsDue: 0 })
    await api.database.update(backupInstances).set({ state: 'SOFT_DELETED' })
    expect(await ask()).toMatchObject({ oldestReadAt: null })
  })

  test('that is locked is only ever read again sooner', async () => {
    const { id } = await addVault(api)
    const vault = encodeNodeId('Vault', id)
    expect(await update(vault, 366)).toEqual({ __typename: 'InvalidInput', field: 'scrub.periodDays' })
    expect(await update(vault, 20)).toMatchObject({
      changes: [{ field: 'scrub.periodDays', before: '30', after: '20' }],
    })
    await api.database.update(vaults).set({ immutability: 'LOCKED' })
    for (const days of [0, 21]) expect(await update(vault, days)).toMatchObject({ rule: 'SCRUB_IS_NOT_LOOSENED' })
    expect(await update(vault, 10)).toMatchObject({ vault: { scrub: { periodDays: 10 } } })
    await api.database.update(vaults).set({ scrubDays: 0 })
    expect(await update(vault, 90)).toMatchObject({ vault: { scrub: { periodDays: 90 } } })
  })
})

describe('a backup instance', () => {
  test('says how far its points are verified, and whether that is late', async () => {
    const instance = await addInstance(api, { policy: await addPolicy(api) })
    const ask = async () => {
      const { data, errors } = await api.ask(
        '{ backupInstances { nodes { verification { lastDecodedAt lastRestoredAt dueBy isBehind } } } }',
      )
      expect(errors).toBeUndefined()
      return Object(data).backupInstances.nodes[0].verification
    }
    expect(await ask()).toEqual({ lastDecodedAt: null, lastRestoredAt: null, dueBy: null, isBehind: false })
    const { id } = await addPoint(api, instance, { createdAt: daysAgo(31) })
    expect(await ask()).toMatchObject({ dueBy: daysAgo(1).toISOString(), isBehind: true })
    await api.database
      .update(recoveryPoints)
      .set({ decodedAt: daysAgo(2) })
      .where(eq(recoveryPoints.id, id))
    expect(await ask()).toMatchObject({
      lastDecodedAt: daysAgo(2).toISOString(),
      dueBy: daysAgo(-28).toISOString(),
      isBehind: false,
    })
  })

  test('says what point holds much less than those before, and lets that be acknowledged', async () => {
    const instance = await addInstance(api)
    const anomalies = [{ kind: 'DATABASE_VANISHED' as const, database: 'crm', before: 900, after: 0 }]
    const point = await addPoint(api, instance, { anomalies })
    await addPoint(api, instance, { createdAt: daysAgo(40) })
    await api.database.update(backupInstances).set({ contentAnomalySince: daysAgo(1) })
    const { data, errors } = await api.ask(`{ backupInstances { nodes {
      contentAnomaly { since pointCount recoveryPoints { id anomalies { kind database before after message } anomalyAcknowledgement { by } } }
      recoveryPoints { nodes { keptBecause } } } } }`)
    expect(errors).toBeUndefined()
    const [shown] = Object(data).backupInstances.nodes
    expect(shown.contentAnomaly).toEqual({
      since: daysAgo(1).toISOString(),
      pointCount: 1,
      recoveryPoints: [
        {
          id: encodeNodeId('RecoveryPoint', point.id),
          anomalies: [{ ...anomalies[0], message: 'Database "crm" is gone: it held 900 rows.' }],
          anomalyAcknowledgement: null,
        },
      ],
    })
    for (const { keptBecause } of shown.recoveryPoints.nodes) expect(keptBecause).toContain('CONTENT_ANOMALY')
    const input = { backupInstance: encodeNodeId('BackupInstance', instance.id), comment: 'It moved.' }
    const acknowledge = `mutation ($input: AcknowledgeContentAnomalyInput!) { acknowledgeContentAnomaly(input: $input) { __typename
      ... on AcknowledgeContentAnomalyPayload { backupInstance { contentAnomaly { since } } recoveryPoints { anomalyAcknowledgement { by comment } } } } }`
    expect(Object((await api.ask(acknowledge, { input })).data).acknowledgeContentAnomaly).toMatchObject({
      backupInstance: { contentAnomaly: null },
      recoveryPoints: [{ anomalyAcknowledgement: { comment: 'It moved.' } }],
    })
    expect(Object((await api.ask(acknowledge, { input })).data).acknowledgeContentAnomaly).toEqual({
      __typename: 'NothingToAcknowledge',
    })
  })
})
