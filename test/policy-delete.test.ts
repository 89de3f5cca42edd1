import { afterEach, beforeEach, expect, test } from 'vitest'
import { policyVersions } from '../src/database/tables/policy.ts'
import { encodeNodeId } from '../src/graphql/schema/ids.ts'
import type { BackupPolicy } from '../src/policy/policy.ts'
import { type Api, listAt, startApi } from './kit/api.ts'
import { addInstance, addPolicy, addServer, addVault, builtInPolicy } from './kit/catalogue.ts'

let api: Api
beforeEach(async () => {
  api = await startApi()
})
afterEach(() => api[Symbol.asyncDispose]())

const remove = (policy: { id: string }, input: Record<string, unknown> = {}) =>
  api.mutate(
    'deletePolicy',
    { policy: encodeNodeId('BackupPolicy', policy.id), ...input },
    `... on DeletePolicyPayload { deletedPolicyId name } ... on PolicyInUse { instanceCount backupInstances { name state } }
     ... on PolicyIsBuiltIn { policy { name } } ... on NotFound { kind }`,
  )

test('a policy that nobody follows is deleted with its versions, and the audit log keeps what it was', async () => {
  const policy = await addPolicy(api, 'unused')
  expect(await remove(policy, { dryRun: true })).toMatchObject({ __typename: 'DeletePolicyPayload', name: 'unused' })
  expect(await remove(policy)).toMatchObject({
    deletedPolicyId: encodeNodeId('BackupPolicy', policy.id),
    name: 'unused',
  })
  expect(await remove(policy)).toMatchObject({ __typename: 'NotFound', kind: 'policy' })
  expect(await api.database.select().from(policyVersions)).toEqual([])
  const { data } = await api.ask('{ auditLog { nodes { action subjectName } } }')
  expect(listAt(data, 'auditLog.nodes').filter(({ action }) => action === 'deletePolicy')).toEqual([
    { action: 'deletePolicy', subjectName: 'unused' },
  ])
})

test('a policy that instances follow stays, deleted instances too, and the refusal names them', async () => {
  const policy = await addPolicy(api)
  await addInstance(api, { name: 'gone', policy, state: 'SOFT_DELETED' })
  expect(await remove(policy)).toMatchObject({
    __typename: 'PolicyInUse',
    instanceCount: 1,
    backupInstances: [{ name: 'gone', state: 'SOFT_DELETED' }],
  })
  const server = await addServer(api)
  for (let index = 0; index < 60; index += 1) {
    await addInstance(api, { name: `instance ${index}`, policy, server, vault: await addVault(api, `vault ${index}`) })
  }
  const refused = await remove(policy)
  expect(refused).toMatchObject({ instanceCount: 61, message: expect.stringContaining('and 56 more') })
  expect(listAt(refused, 'backupInstances')).toHaveLength(50)
})

test('the built-in policy stays', async () => {
  const builtIn = await builtInPolicy(api)
  expect(await remove(builtIn)).toMatchObject({ __typename: 'PolicyIsBuiltIn', policy: { name: builtIn.name } })
})

test('a policy is either deleted or followed when both are asked for at once', async () => {
  const vault = encodeNodeId('Vault', (await addVault(api)).id)
  const protect = async (policy: BackupPolicy, server: string) =>
    api.mutate(
      'configureProtection',
      { server, vault, policy: encodeNodeId('BackupPolicy', policy.id) },
      '... on NotFound { kind } ... on ConfigureProtectionPayload { backupInstance { policy { name } } }',
    )
  const ends = new Set<string>()
  for (let round = 0; round < 12; round += 1) {
    const policy = await addPolicy(api, `policy ${round}`)
    const server = encodeNodeId('PostgresServer', (await addServer(api, `server ${round}`)).id)
    const first = round % 2 === 0 ? protect(policy, server) : remove(policy)
    const second = round % 2 === 0 ? remove(policy) : protect(policy, server)
    const names = (await Promise.all([first, second])).map(({ __typename }) => String(__typename)).sort()
    ends.add(names.join(' '))
    expect([
      ['ConfigureProtectionPayload', 'PolicyInUse'],
      ['DeletePolicyPayload', 'NotFound'],
    ]).toContainEqual(names)
  }
  expect(ends.size).toBeGreaterThan(0)
})

test('a policy is not followed any more once another one is', async () => {
  const policy = await addPolicy(api)
  const instance = await addInstance(api, { policy })
  const next = await addPolicy(api, 'next')
  await api.mutate(
    'changePolicy',
    { backupInstance: encodeNodeId('BackupInstance', instance.id), policy: encodeNodeId('BackupPolicy', next.id) },
    '',
  )
  expect(await remove(policy)).toMatchObject({ __typename: 'DeletePolicyPayload' })
})
