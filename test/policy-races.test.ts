import { eq } from 'drizzle-orm'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { backupInstances } from '../src/database/tables/backup-instance.ts'
import { encodeNodeId } from '../src/graphql/schema/ids.ts'
import { findPolicies } from '../src/policy/find.ts'
import type { BackupPolicy } from '../src/policy/policy.ts'
import { type Api, startApi } from './kit/api.ts'
import { addInstance, addPolicy, addServer, addVault } from './kit/catalogue.ts'

let api: Api
beforeEach(async () => {
  api = await startApi()
})
afterEach(() => api[Symbol.asyncDispose]())

const revise = (policy: BackupPolicy, days: number) =>
  api.mutate('revisePolicy', { policy: encodeNodeId('BackupPolicy', policy.id), defaultRetention: `P${days}D` }, '')

const typesOf = (answers: Record<string, unknown>[]) => new Set(answers.map(({ __typename }) => __typename))

async function expectAllAtNewest(policy: BackupPolicy, instances: number): Promise<void> {
  const [newest] = await findPolicies(api.database, [policy.id])
  const followers = await api.database
    .select({ version: backupInstances.policyVersion })
    .from(backupInstances)
    .where(eq(backupInstances.policyId, policy.id))
  expect(followers).toEqual(Array.from({ length: instances }, () => ({ version: newest?.version })))
}

test('instances that are configured while the policy is revised follow its newest version', async () => {
  const policy = await addPolicy(api)
  const vault = encodeNodeId('Vault', (await addVault(api)).id)
  const servers = await Promise.all(Array.from({ length: 8 }, (_, index) => addServer(api, `server ${index}`)))
  const answers = await Promise.all(
    servers.flatMap((server, index) => [
      api.mutate(
        'configureProtection',
        {
          server: encodeNodeId('PostgresServer', server.id),
          vault,
          policy: encodeNodeId('BackupPolicy', policy.id),
        },
        '',
      ),
      revise(policy, 31 + index),
    ]),
  )
  expect(typesOf(answers)).toEqual(new Set(['ConfigureProtectionPayload', 'RevisePolicyPayload']))
  await expectAllAtNewest(policy, servers.length)
})

test('instances that change to the policy while it is revised follow its newest version', async () => {
  const [from, to] = [await addPolicy(api, 'from'), await addPolicy(api, 'to')]
  const instances = await Promise.all(
    Array.from({ length: 8 }, (_, index) => addInstance(api, { name: `instance ${index}`, policy: from })),
  )
  const answers = await Promise.all(
    instances.flatMap(({ id }, index) => [
      revise(index % 2 === 0 ? to : from, 31 + index),
      api.mutate(
        'changePolicy',
        { backupInstance: encodeNodeId('BackupInstance', id), policy: encodeNodeId('BackupPolicy', to.id) },
        '',
      ),
    ]),
  )
  expect(typesOf(answers)).toEqual(new Set(['ChangePolicyPayload', 'RevisePolicyPayload']))
  await expectAllAtNewest(to, instances.length)
  await expectAllAtNewest(from, 0)
})
