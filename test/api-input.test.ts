import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { encodeNodeId } from '../src/graphql/schema/ids.ts'
import { schema } from '../src/graphql/schema/schema.ts'
import { type Api, at, listAt, startApi } from './kit/api.ts'
import { addInstance, addPoint, addPolicy, addVault } from './kit/catalogue.ts'
import { enqueue } from './kit/runner.ts'

let api: Api
beforeEach(async () => {
  api = await startApi()
})
afterEach(() => api[Symbol.asyncDispose]())

async function messageOf(query: string, variables?: Record<string, unknown>): Promise<string> {
  const { errors } = await api.ask(query, variables)
  return String(errors?.[0]?.message)
}

const backUp = 'mutation ($input: BackUpNowInput!) { backUpNow(input: $input) { __typename } }'

describe('What is wrong with a request', () => {
  test.each([
    [
      'createPolicy(input: { name: "a", defaultRetention: "-P7D" })',
      '`input.defaultRetention`: A Duration is never negative',
    ],
    [
      'createPolicy(input: { name: "a", defaultRetention: "P0D" })',
      '`input.defaultRetention`: A Duration is longer than',
    ],
    [
      'createPolicy(input: { name: "a", defaultRetention: "P9D", retentionRules: [{ tag: DAILY, duration: "x" }] })',
      '`input.retentionRules[0].duration`: A Duration is written like',
    ],
    ['stopProtection(input: { backupInstance: "x", data: RETAIN_FOREVER, dryRun: null })', '`input.dryRun`: '],
  ])('is told with its field where it is written in the document: %s', async (call, message) => {
    expect(await messageOf(`mutation { ${call} { __typename } }`)).toContain(message)
  })

  test('is told with the argument of a query', async () => {
    expect(await messageOf('{ auditLog(filter: { since: "yesterday" }) { totalCount } }')).toContain('`filter.since`: ')
    expect(await messageOf('query ($c: Cursor = "?") { jobs(after: $c) { totalCount } }')).toContain('`$c`: ')
  })

  test('is told with the field of an id that cannot be read', async () => {
    const query = 'mutation ($input: ConfigureProtectionInput!) { configureProtection(input: $input) { __typename } }'
    const vault = encodeNodeId('Vault', (await addVault(api, 'main')).id)
    expect(await messageOf(query, { input: { server: vault, vault, policy: '??' } })).toContain(
      '`input.policy`: "??" is no',
    )
    expect(await messageOf('{ nodes(ids: ["a"]) { id } }')).toContain('`ids[0]`: ')
    const lamp = encodeNodeId('Lamp', crypto.randomUUID())
    expect(await messageOf(backUp, { input: { backupInstance: lamp } })).toContain(
      '`input.backupInstance`: there is no kind',
    )
  })

  test('is told with the kinds of an id of another kind of object', async () => {
    const vault = encodeNodeId('Vault', (await addVault(api, 'main')).id)
    const query = 'query ($filter: JobFilter) { jobs(filter: $filter) { totalCount } }'
    expect(await messageOf(query, { filter: { instance: vault } })).toBe(
      '`filter.instance` is the id of a Vault, not of a BackupInstance.',
    )
    const watched = await api.watch('subscription ($id: ID!) { jobChanged(id: $id) { id } }', { id: vault }).next()
    expect(watched.value).toMatchObject({ errors: [{ message: '`id` is the id of a Vault, not of a Job.' }] })
    const refused = await api.mutate('backUpNow', { backupInstance: vault }, '... on NotFound { kind field }')
    expect(refused).toMatchObject({
      __typename: 'NotFound',
      kind: 'backup instance',
      field: 'backupInstance',
      message: 'That is the id of a Vault, not of a BackupInstance.',
    })
    const gone = encodeNodeId('BackupInstance', crypto.randomUUID())
    expect(await api.mutate('backUpNow', { backupInstance: gone }, '... on NotFound { field }')).toMatchObject({
      field: null,
    })
  })

  test('is told of times that end before they begin, and of texts that nothing is named', async () => {
    const [since, until] = ['2026-02-02T00:00:00Z', '2026-02-01T00:00:00Z']
    expect(await messageOf(`{ auditLog(filter: { since: "${since}", until: "${until}" }) { totalCount } }`)).toContain(
      '`filter.until`',
    )
    expect(await messageOf(`{ jobSummary(since: "${since}", until: "${until}") { totalCount } }`)).toContain('`until`')
    const query = 'query ($filter: BackupInstanceFilter) { backupInstances(filter: $filter) { totalCount } }'
    for (const nameContains of ['\0', 'a\0b', '\ud800', 'x'.repeat(201)]) {
      expect(await messageOf(query, { filter: { nameContains } })).toContain('`filter.nameContains`')
    }
  })

  test('is told of moments before the year 1, which the database does not know', async () => {
    for (const moment of ['0000-01-01T00:00:00Z', '0001-01-01T00:00:00+01:00']) {
      expect(await messageOf(`{ recoveryPoints(filter: { createdAfter: "${moment}" }) { totalCount } }`)).toContain(
        'the years 0001 to 9999',
      )
    }
    const { errors } = await api.ask(
      '{ recoveryPoints(filter: { createdAfter: "0001-01-01T00:00:00Z" }) { totalCount } }',
    )
    expect(errors).toBeUndefined()
    const early = await api.ask('{ jobSummary(until: "0001-01-15T00:00:00Z") { totalCount } }')
    expect(early).toEqual({ data: { jobSummary: { totalCount: 0 } } })
  })

  test('is told of moments beyond the year 9999', async () => {
    const policy = encodeNodeId('BackupPolicy', (await addPolicy(api, 'nightly')).id)
    expect(await messageOf('{ auditLog(filter: { since: "9999-12-31T23:59:59-01:00" }) { totalCount } }')).toContain(
      '9999',
    )
    const preview = 'query ($input: PreviewPolicyInput!) { previewPolicy(input: $input) { end } }'
    const rules = { schedule: { daily: { times: ['02:00'] } }, defaultRetention: 'P90D' }
    const late = { policy: { rules }, start: '9999-06-01T00:00:00Z', horizon: 'P1Y' }
    expect(await messageOf(preview, { input: late })).toContain('`start`: ')
    expect(await messageOf(preview, { input: { ...late, horizon: 'P6M' } })).toContain('`start`: ')
    const revised = await api.mutate('revisePolicy', { policy, schedule: { daily: { times: ['02:00'] } } }, '')
    expect(revised.__typename).toBe('RevisePolicyPayload')
    const starts = `{ policy(id: "${policy}") { nextStarts(after: "9999-12-30T00:00:00Z", count: 9) } }`
    expect(await messageOf(starts)).toContain('`after`: ')
  })
})

test('a cursor of one list is refused by every other, and taken by every list of its kind', async () => {
  const instance = await addInstance(api)
  await addPoint(api, instance)
  await enqueue(api.database)
  const { data } = await api.ask('{ jobs { pageInfo { endCursor } } vaults { pageInfo { endCursor } } }')
  const after = at(data, 'jobs.pageInfo.endCursor')
  for (const list of [
    'auditLog',
    'vaults',
    'policies',
    'servers',
    'recoveryPoints',
    'backupInstances',
    'notifications',
  ]) {
    for (const name of ['after', 'before']) {
      expect(await messageOf(`{ ${list}(${name}: "${after}") { totalCount } }`)).toContain(`\`${name}\`: this cursor`)
    }
  }
  expect(await messageOf(`{ jobs(after: "${at(data, 'vaults.pageInfo.endCursor')}") { totalCount } }`)).toContain(
    '`after`',
  )
  const id = encodeNodeId('BackupInstance', instance.id)
  const own = await api.ask(`{ backupInstance(id: "${id}") { jobs(after: "${after}") { nodes { id } } } }`)
  expect(own.errors).toBeUndefined()
  expect(listAt(own.data, 'backupInstance.jobs.nodes')).toEqual([])
})

test('a flag that has a default takes no null', () => {
  const flags = Object.values(schema.getTypeMap()).flatMap((type) =>
    'isOneOf' in type
      ? Object.values(type.getFields()).filter((field) => 'defaultValue' in field || 'default' in field)
      : [],
  )
  const dryRuns = flags.filter(({ name }) => name === 'dryRun')
  expect(dryRuns.length).toBeGreaterThan(9)
  expect(new Set(dryRuns.map(({ type }) => String(type)))).toEqual(new Set(['Boolean!']))
})

test.each(['softDelete', 'immutability', 'expiryShareLimitPercent'])(
  'a rule of a vault is never cleared: %s',
  async (field) => {
    const vault = encodeNodeId('Vault', (await addVault(api, 'main')).id)
    const refused = await api.mutate('updateVaultSecurity', { vault, [field]: null }, '... on InvalidInput { field }')
    expect(refused).toMatchObject({ __typename: 'InvalidInput', field })
  },
)

test.each([
  ['a zero-width space', 'ma\u200bin'],
  ['a mark that turns the direction', 'main\u202e'],
  ['half of a character', 'main\ud800'],
  ['nothing that can be seen', '\u3164\u2800'],
  ['a control character', 'ma\u0007in'],
])('a name with %s is refused', async (_what, name) => {
  const refused = await api.mutate('createPolicy', { name, defaultRetention: 'P30D' }, '... on InvalidInput { field }')
  expect(refused).toMatchObject({ __typename: 'InvalidInput', field: 'name' })
})

test('a comment turns no direction of writing', async () => {
  const instance = await addInstance(api)
  const backupInstance = encodeNodeId('BackupInstance', instance.id)
  for (const comment of ['too \u202edear', 'too \u2066dear', 'too \udc00dear']) {
    const input = { backupInstance, data: 'RETAIN_FOREVER', comment }
    expect(await api.mutate('stopProtection', input, '... on InvalidInput { field }')).toMatchObject({
      field: 'comment',
    })
  }
})
