import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { encodeNodeId } from '../src/graphql/schema/ids.ts'
import { type Api, at, listAt, startApi } from './kit/api.ts'
import { addInstance, addPoint, addServer, addVault } from './kit/catalogue.ts'
import { dashboardQuery } from './kit/dashboard.ts'

const day = 86_400_000
const gigabyte = 1_000_000_000

let api: Api
beforeEach(async () => {
  api = await startApi()
})
afterEach(() => api[Symbol.asyncDispose]())

const daysAgo = (days: number) => new Date(api.clock.now.getTime() - days * day)

async function growthOf(id: string, days?: number) {
  const { data, errors } = await api.ask(
    `query ($id: ID!, $days: Int! = 30) { backupInstance(id: $id) { growth(days: $days) {
      since sourceBytesPerDay storedBytesPerDay points { at sourceBytes storedBytes } } } }`,
    { id: encodeNodeId('BackupInstance', id), ...(days !== undefined && { days }) },
  )
  expect(errors).toBeUndefined()
  return at(data, 'backupInstance.growth')
}

describe('The growth of an instance', () => {
  test('is drawn by the last point of each day, and said by day', async () => {
    const instance = await addInstance(api, { name: 'growing', createdAt: daysAgo(100) })
    for (const [days, size] of [
      [40, 1],
      [20.5, 10],
      [20.2, 20],
      [10.2, 30],
      [0.2, 40],
    ] as const) {
      await addPoint(api, instance, {
        createdAt: daysAgo(days),
        sourceBytes: size * gigabyte,
        storedBytes: size * 1_000,
      })
    }
    expect(await growthOf(instance.id)).toEqual({
      since: daysAgo(30).toISOString(),
      sourceBytesPerDay: gigabyte,
      storedBytesPerDay: (10 + 20 + 30 + 40) * (1_000 / 30),
      points: [
        { at: daysAgo(20.2).toISOString(), sourceBytes: 20 * gigabyte, storedBytes: 20_000 },
        { at: daysAgo(10.2).toISOString(), sourceBytes: 30 * gigabyte, storedBytes: 30_000 },
        { at: daysAgo(0.2).toISOString(), sourceBytes: 40 * gigabyte, storedBytes: 40_000 },
      ],
    })
    expect(await growthOf(instance.id, 5)).toMatchObject({ sourceBytesPerDay: null, points: [{}] })
  })

  test('is negative where databases shrink, and counted from when protection began', async () => {
    const instance = await addInstance(api, { name: 'shrinking', createdAt: daysAgo(4) })
    await addPoint(api, instance, { createdAt: daysAgo(3), sourceBytes: 9_000, storedBytes: 600 })
    await addPoint(api, instance, { createdAt: daysAgo(1), sourceBytes: 5_000, storedBytes: 200 })
    expect(await growthOf(instance.id)).toMatchObject({ sourceBytesPerDay: -2_000, storedBytesPerDay: 200 })
  })

  test('is unknown where nothing was backed up', async () => {
    const instance = await addInstance(api, { name: 'new' })
    expect(await growthOf(instance.id)).toMatchObject({ sourceBytesPerDay: null, storedBytesPerDay: 0, points: [] })
  })

  test('looks back 1 to 366 days', async () => {
    await addInstance(api)
    for (const days of [0, 367]) {
      const { errors } = await api.ask(`{ backupInstances { nodes { growth(days: ${days}) { since } } } }`)
      expect(errors?.[0]?.extensions.code).toBe('BAD_USER_INPUT')
    }
  })
})

test('the oldest point and the latest proven one are told apart from the latest', async () => {
  const instance = await addInstance(api, { name: 'marked' })
  const none = await addInstance(api, { name: 'unmarked' })
  const made = [
    { createdAt: daysAgo(9), proof: 'RESTORED' },
    { createdAt: daysAgo(8), proof: 'READ_BACK' },
    { createdAt: daysAgo(7), proof: 'WRITTEN' },
    { createdAt: daysAgo(6), proof: 'DECODED', state: 'SUSPECT' },
  ] as const
  for (const point of made) await addPoint(api, instance, point)
  const { data } = await api.ask(
    `query ($ids: [ID!]!) { nodes(ids: $ids) { ... on BackupInstance {
      recoveryPointCount oldestRecoveryPoint { createdAt } latestProvenPoint { createdAt } latestRecoveryPoint { createdAt } } } }`,
    { ids: [instance, none].map(({ id }) => encodeNodeId('BackupInstance', id)) },
  )
  expect(listAt(data, 'nodes')).toEqual([
    {
      recoveryPointCount: 4,
      oldestRecoveryPoint: { createdAt: daysAgo(9).toISOString() },
      latestProvenPoint: { createdAt: daysAgo(8).toISOString() },
      latestRecoveryPoint: { createdAt: daysAgo(6).toISOString() },
    },
    { recoveryPointCount: 0, oldestRecoveryPoint: null, latestProvenPoint: null, latestRecoveryPoint: null },
  ])
})

test('the dashboard of 50 instances takes as many statements as that of one', async () => {
  const vault = await addVault(api, 'dashboard')
  for (let index = 0; index < 50; index += 1) {
    const server = await addServer(api, `server ${index}`)
    const instance = await addInstance(api, { name: `instance ${index}`, vault, server })
    await addPoint(api, instance, { createdAt: daysAgo(2) })
    await addPoint(api, instance, { createdAt: daysAgo(1) })
  }
  const cost = async (first: number) => {
    await api.ask(dashboardQuery(first))
    api.statements.length = 0
    const { data, errors } = await api.ask(dashboardQuery(first))
    expect(errors).toBeUndefined()
    expect(listAt(data, 'backupInstances.nodes')).toHaveLength(first)
    return api.statements.length
  }
  const [one, fifty] = [await cost(1), await cost(50)]
  expect(fifty).toBe(one)
  expect(fifty).toBeLessThanOrEqual(16)
})
