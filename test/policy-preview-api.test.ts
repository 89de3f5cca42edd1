import { afterAll, beforeAll, expect, test } from 'vitest'
import { encodeNodeId } from '../src/graphql/schema/ids.ts'
import { type Api, at, listAt, startApi } from './kit/api.ts'
import { addPolicy, builtInPolicy } from './kit/catalogue.ts'

let api: Api
beforeAll(async () => {
  api = await startApi()
})
afterAll(() => api[Symbol.asyncDispose]())

const daily = { schedule: { daily: { times: ['02:00'] } }, defaultRetention: 'P7D' }

const preview = (input: Record<string, unknown>, selection: string) =>
  api.ask(`query ($input: PreviewPolicyInput!) { previewPolicy(input: $input) { ${selection} } }`, { input })

test('rules are previewed before there is a policy, and nothing is written', async () => {
  const before = api.statements.length
  const { data } = await preview(
    {
      policy: { rules: { ...daily, retentionRules: [{ tag: 'YEARLY', duration: 'P10Y' }] } },
      start: '2026-01-01T00:00:00Z',
      horizon: 'P10Y',
      pointBytes: 3_000_000_000,
    },
    `start end pointCount maxPointCount maxBytes maxAt on(date: "2026-01-09T00:00:00Z") { createdAt tag reason expiresAt goesAt keptBecause }
     timeline(every: "P1Y") { at pointCount bytes }`,
  )
  expect(at(data, 'previewPolicy')).toMatchObject({
    start: '2026-01-01T00:00:00.000Z',
    end: '2036-01-01T00:00:00.000Z',
    pointCount: 3652,
    maxPointCount: 17,
    maxBytes: 51_000_000_000,
    maxAt: '2035-01-08T02:00:00.000Z',
  })
  const shown = listAt(data, 'previewPolicy.on')
  expect(shown).toHaveLength(8)
  expect(shown[0]).toEqual({
    createdAt: '2026-01-01T02:00:00.000Z',
    tag: 'YEARLY',
    reason: 'The first successful backup of 2026.',
    expiresAt: '2036-01-01T02:00:00.000Z',
    goesAt: '2036-01-01T02:00:00.000Z',
    keptBecause: ['WITHIN_RETENTION'],
  })
  expect(listAt(data, 'previewPolicy.timeline')).toHaveLength(11)
  expect(listAt(data, 'previewPolicy.timeline')[1]).toEqual({
    at: '2027-01-01T00:00:00.000Z',
    pointCount: 8,
    bytes: 24_000_000_000,
  })
  expect(api.statements.slice(before)).toEqual([])
})

test('a policy is previewed by its present rules from now on, without bytes unless a size is given', async () => {
  await api.mutate('createPolicy', { name: 'daily', ...daily }, '')
  const { data: list } = await api.ask('{ policies(first: 1) { nodes { id } } }')
  const id = listAt(list, 'policies.nodes')[0]?.id
  const { data } = await preview({ policy: { id } }, 'start pointCount maxPointCount maxBytes timeline { bytes }')
  expect(at(data, 'previewPolicy')).toMatchObject({
    start: '2026-03-01T12:00:00.000Z',
    pointCount: 365,
    maxPointCount: 7,
    maxBytes: null,
  })
  expect(listAt(data, 'previewPolicy.timeline')).toContainEqual({ bytes: null })
  const builtIn = encodeNodeId('BackupPolicy', (await builtInPolicy(api)).id)
  expect((await preview({ policy: { id: builtIn } }, 'pointCount maxAt')).data).toEqual({
    previewPolicy: { pointCount: 0, maxAt: null },
  })
})

test('the points of a preview are paged in order of time, both ways', async () => {
  const input = { policy: { rules: daily }, horizon: 'P30D' }
  const page = async (args: string) => {
    const { data } = await preview(
      input,
      `points(${args}) { totalCount nodes { createdAt } pageInfo { hasNextPage hasPreviousPage startCursor endCursor } }`,
    )
    return at(data, 'previewPolicy.points')
  }
  const days = (answer: unknown) => listAt(answer, 'nodes').map(({ createdAt }) => String(createdAt).slice(5, 10))
  const first = await page('first: 2')
  expect(days(first)).toEqual(['03-02', '03-03'])
  expect(first).toMatchObject({ totalCount: 30, pageInfo: { hasNextPage: true, hasPreviousPage: false } })
  const second = await page(`first: 2, after: "${at(first, 'pageInfo.endCursor')}"`)
  expect(days(second)).toEqual(['03-04', '03-05'])
  const last = await page('last: 2')
  expect(days(last)).toEqual(['03-30', '03-31'])
  expect(last).toMatchObject({ pageInfo: { hasNextPage: false, hasPreviousPage: true } })
  expect(days(await page(`last: 1, before: "${at(last, 'pageInfo.startCursor')}"`))).toEqual(['03-29'])
})

test.for<[string, Record<string, unknown>]>([
  ['horizon', { horizon: 'PT1H' }],
  ['horizon', { horizon: 'P10Y1D' }],
  ['policy.rules.timeZone', { policy: { rules: { ...daily, timeZone: 'Nowhere' } } }],
  [
    'policy.rules.schedule.daily.times[0]',
    { policy: { rules: { ...daily, schedule: { daily: { times: ['31:00'] } } } } },
  ],
  ['policy.rules.defaultRetention', { policy: { rules: { ...daily, defaultRetention: 'P1D' } } }],
  [
    'policy.rules.retentionRules[0].duration',
    { policy: { rules: { ...daily, defaultRetention: 'P90D', retentionRules: [{ tag: 'DAILY', duration: 'P8D' }] } } },
  ],
  ['policy.id', { policy: { id: encodeNodeId('BackupPolicy', '00000000-0000-4000-8000-000000000000') } }],
  ['pointBytes', { pointBytes: Number.MAX_SAFE_INTEGER }],
  ['pointBytes', { pointBytes: -1 }],
  ['start', { start: 'yesterday' }],
  ['policy', { policy: {} }],
])('a preview is refused, naming %s, for %j', async ([field, changes]) => {
  const { data, errors } = await preview({ policy: { rules: daily }, ...changes }, 'pointCount')
  expect(data).toBeNull()
  expect(errors?.[0]?.extensions.code).toBe('BAD_USER_INPUT')
  expect(errors?.[0]?.message).toContain(field)
})

test('an id of another kind of object, and too many entries, are refused', async () => {
  const policy = await addPolicy(api, 'other')
  const wrong = await preview({ policy: { id: encodeNodeId('Vault', policy.id) } }, 'pointCount')
  expect(wrong.errors?.[0]).toMatchObject({
    message: expect.stringContaining('`input.policy.id` is the id of a Vault, not of a BackupPolicy.'),
  })
  const many = await preview({ policy: { rules: daily } }, 'timeline(every: "PT1H") { at }')
  expect(many.errors?.[0]).toMatchObject({ message: expect.stringContaining('`every`') })
  const hourly = { schedule: { hourly: {} }, defaultRetention: 'P10Y' }
  const all = await preview({ policy: { rules: hourly }, horizon: 'P10Y' }, 'on(date: "2036-01-01T00:00:00Z") { tag }')
  expect(all.errors?.[0]).toMatchObject({ extensions: { code: 'LIMIT_EXCEEDED' } })
})
