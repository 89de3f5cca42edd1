import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Api, listAt, startApi } from './kit/api.ts'
import { addContainer, addInstance, addPoint, addServer, addStorageAccount, addVault } from './kit/catalogue.ts'

let api: Api
beforeAll(async () => {
  api = await startApi()
  for (const name of ['one', 'two', 'three', 'four']) {
    const vault = await addVault(api, name)
    for (let index = 0; index < 25; index += 1) {
      const account = await addStorageAccount(api, `${name} ${index}`, { resourceInstanceIds: [vault.id] })
      await addContainer(api, account, 'first')
      await addContainer(api, account, 'second')
    }
    for (let index = 0; index < 25; index += 1) {
      const server = await addServer(api, `${name} ${index}`)
      const instance = await addInstance(api, { name: `${name} ${index}`, vault, server })
      await addPoint(api, instance)
      await addPoint(api, instance, { createdAt: new Date(api.clock.now.getTime() - 1000) })
    }
  }
})
afterAll(() => api[Symbol.asyncDispose]())

/** How many statements a query takes; transactions would count too. */
async function cost(query: string): Promise<{ statements: number; data: unknown }> {
  await api.ask(query)
  api.statements.length = 0
  const { data, errors } = await api.ask(query)
  expect(errors).toBeUndefined()
  return { statements: api.statements.length, data }
}

/** Fields of different levels share a statement when their answers happen to come together: a few more or less say nothing. */
function expectSameCost(many: number, few: number): void {
  expect(Math.abs(many - few)).toBeLessThanOrEqual(6)
  expect(many).toBeLessThanOrEqual(30)
}

const job = `id status duration progress { fraction } subTasks { name } backupInstance { id name }
  sourceRecoveryPoint { id } targetRecoveryPoint { id backupInstance { name } } events(first: 5) { totalCount nodes { type job { id } } }`

const instance = `id name state verification { lastDecodedAt isBehind } contentAnomaly { pointCount recoveryPoints { anomalies { kind } } } allowedOperations server { id name } vault { name storedBytes recoveryPointCount scrub { isBehind } } policy { name }
  latestRecoveryPoint { id job { id } } lastBackup { ${job} } storedBytes sourceBytes
  recoveryPoints(first: 5) { totalCount nodes { id job { id targetRecoveryPoint { id } } } }
  jobs(first: 5) { totalCount nodes { ${job} } }`

const pages: [string, string][] = [
  ['backupInstances', `backupInstances(first: SIZE) { totalCount nodes { ${instance} } }`],
  ['jobs', `jobs(first: SIZE) { totalCount nodes { ${job} } }`],
  [
    'recoveryPoints',
    `recoveryPoints(first: SIZE) { nodes { id vault { name } job { ${job} } backupInstance { ${instance} } } }`,
  ],
  ['servers', `servers(first: SIZE) { nodes { id backupInstances(first: 3) { totalCount nodes { ${instance} } } } }`],
  [
    'storageAccounts',
    `storageAccounts(first: SIZE) { totalCount nodes { name resourceInstances { name } containers(first: 5) { totalCount nodes { name storageAccount { id } } } } }`,
  ],
  [
    'auditLog',
    'auditLog(first: SIZE) { totalCount nodes { action subject { id ... on Vault { name } ... on PostgresServer { name } } } }',
  ],
]

test.each(pages)('a page of %s costs as many statements for 100 rows as for 2', async (list, query) => {
  const few = await cost(`{ ${query.replace('SIZE', '2')} }`)
  const many = await cost(`{ ${query.replace('SIZE', '100')} }`)
  expect(listAt(many.data, `${list}.nodes`)).toHaveLength(100)
  expectSameCost(many.statements, few.statements)
})

test('a page of vaults with a page of instances each costs as many statements as one vault', async () => {
  const query = (size: number) =>
    `{ vaults(first: ${size}) { nodes { name backupInstances(first: 25) { totalCount nodes { ${instance} } } } } }`
  const one = await cost(query(1))
  const four = await cost(query(4))
  expect(listAt(four.data, 'vaults.nodes').flatMap((vault) => listAt(vault, 'backupInstances.nodes'))).toHaveLength(100)
  expectSameCost(four.statements, one.statements)
})

test('100 nodes are loaded by one statement a kind', async () => {
  const { data } = await api.ask('{ backupInstances(first: 50) { nodes { id server { id } } } }')
  const ids = listAt(data, 'backupInstances.nodes').flatMap((each) => [each.id, Object(each.server).id])
  api.statements.length = 0
  const answer = await api.ask('query ($ids: [ID!]!) { nodes(ids: $ids) { id } }', { ids })
  expect(listAt(answer, 'data.nodes').map(({ id }) => id)).toEqual(ids)
  expect(api.statements).toHaveLength(2)
  const tooMany = await api.ask('query ($ids: [ID!]!) { nodes(ids: $ids) { id } }', { ids: [...ids, ids[0]] })
  expect(tooMany.errors?.[0]?.extensions.code).toBe('BAD_USER_INPUT')
})

test('a list is counted only when that is asked for', async () => {
  const { statements } = await cost('{ jobs { nodes { id } } }')
  expect(statements).toBe(1)
})

test('page sizes that multiply beyond 10,000 rows are refused', async () => {
  const query = (events: number) =>
    `{ backupInstances(first: 100) { nodes { recoveryPoints(first: 2) { nodes { job { events(first: ${events}) { nodes { type } } } } } } } }`
  expect((await api.ask(query(50))).errors).toBeUndefined()
  const { errors } = await api.ask(query(51))
  expect(new Set(errors?.map(({ extensions }) => extensions.code))).toEqual(new Set(['LIMIT_EXCEEDED']))
})
