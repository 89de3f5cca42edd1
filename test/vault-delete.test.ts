import { eq } from 'drizzle-orm'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { auditRecords } from '../src/database/tables/audit.ts'
import { jobs } from '../src/database/tables/job.ts'
import { vaultOrphans, vaults } from '../src/database/tables/vault.ts'
import { encodeNodeId } from '../src/graphql/schema/ids.ts'
import { recordCapabilities } from '../src/vault/record-capabilities.ts'
import type { Vault } from '../src/vault/vault.ts'
import { type Api, listAt, startApi } from './kit/api.ts'
import { addInstance, addPoint, addServer, addVault, builtInPolicy } from './kit/catalogue.ts'
import { enqueue } from './kit/runner.ts'

let api: Api
let vault: Vault
let id: string
beforeEach(async () => {
  api = await startApi()
  vault = await addVault(api, 'main')
  id = encodeNodeId('Vault', vault.id)
})
afterEach(() => api[Symbol.asyncDispose]())

const remove = (input: Record<string, unknown> = {}) =>
  api.mutate(
    'deleteVault',
    { vault: id, confirmName: 'main', ...input },
    `... on DeleteVaultPayload { deletedVaultId name } ... on ConfirmationMismatch { field } ... on NotFound { kind }
     ... on KeyRotationRunning { runningJob { operation } } ... on ImportAlreadyRunning { runningJob { operation } }
     ... on RecoveryKeyNotExported { vault { name } } ... on VaultNotEmpty { instanceCount recoveryPointCount orphanCount backupInstances { name state } }`,
  )
const exists = async () => (await api.database.$count(vaults, eq(vaults.id, vault.id))) === 1

test('an empty vault is deleted; its jobs and its lines in the audit log stay', async () => {
  await enqueue(api.database, { subject: { vaultId: vault.id } })
  expect(await remove({ dryRun: true })).toMatchObject({ __typename: 'DeleteVaultPayload', name: 'main' })
  expect(await exists()).toBe(true)
  expect(await remove()).toMatchObject({ deletedVaultId: id, name: 'main' })
  expect(await exists()).toBe(false)
  expect(await remove()).toMatchObject({ __typename: 'NotFound', kind: 'vault' })
  expect(await api.database.$count(jobs, eq(jobs.vaultId, vault.id))).toBe(1)
  const lines = await api.database.select().from(auditRecords).where(eq(auditRecords.subjectId, vault.id))
  expect(lines.map(({ action }) => action).toSorted()).toEqual(['createVault', 'deleteVault'])
  const { data } = await api.ask('query ($id: ID!) { vault(id: $id) { name } }', { id })
  expect(data).toEqual({ vault: null })
})

test('a vault is deleted only by its exact name', async () => {
  for (const confirmName of ['', 'Main', 'main ', 'other']) {
    expect(await remove({ confirmName })).toMatchObject({ __typename: 'ConfirmationMismatch', field: 'confirmName' })
  }
  expect(await exists()).toBe(true)
})

test('a vault with backup instances is kept, soft-deleted ones included', async () => {
  const deleted = await addInstance(api, { name: 'deleted', state: 'SOFT_DELETED', vault })
  await addPoint(api, deleted)
  for (const dryRun of [true, false]) {
    expect(await remove({ dryRun })).toMatchObject({
      __typename: 'VaultNotEmpty',
      instanceCount: 1,
      recoveryPointCount: 1,
      orphanCount: 0,
      backupInstances: [{ name: 'deleted', state: 'SOFT_DELETED' }],
    })
  }
  expect(await exists()).toBe(true)
})

test('a vault with bytes that belong to no recovery point is kept; a folder that is empty by now is none', async () => {
  const orphan = {
    vaultId: vault.id,
    prefix: 'points/a/b.1/',
    kind: 'BYTES_WITHOUT_ROW' as const,
    instanceId: crypto.randomUUID(),
    objectCount: 2,
    sizeBytes: 512,
    firstSeenAt: api.clock.now,
    lastSeenAt: api.clock.now,
  }
  await api.database.insert(vaultOrphans).values(orphan)
  expect(await remove()).toMatchObject({ __typename: 'VaultNotEmpty', instanceCount: 0, orphanCount: 1 })
  await api.database.update(vaultOrphans).set({ sizeBytes: 0 })
  expect(await remove()).toMatchObject({ __typename: 'DeleteVaultPayload' })
})

test('a vault that is being imported, or whose key is being rotated, is kept', async () => {
  await api.mutate('rotateVaultKey', { vault: id }, '')
  const refused = { runningJob: { operation: 'ROTATE_KEY' } }
  expect(await remove()).toMatchObject({ __typename: 'KeyRotationRunning', ...refused })
  await api.database.update(jobs).set({ status: 'COMPLETED' })
  // An import that has made the vault known goes on to look for its points.
  await enqueue(api.database, { operation: 'IMPORT_VAULT', exclusiveKey: `import:${vault.locationKey}` })
  expect(await remove()).toMatchObject({
    __typename: 'ImportAlreadyRunning',
    runningJob: { operation: 'IMPORT_VAULT' },
  })
  await api.database.update(jobs).set({ status: 'FAILED' })
  expect(await remove()).toMatchObject({ __typename: 'DeleteVaultPayload' })
})

test('a vault that was set up is kept until somebody has its key', async () => {
  const capabilities = { conditionalCreate: true, largestObjectBytes: null }
  await recordCapabilities(api.database, { vaultId: vault.id, capabilities })
  for (const dryRun of [true, false]) {
    expect(await remove({ dryRun })).toMatchObject({ __typename: 'RecoveryKeyNotExported', vault: { name: 'main' } })
  }
  await api.mutate('exportRecoveryKey', { vault: id }, '')
  expect(await remove()).toMatchObject({ __typename: 'DeleteVaultPayload' })
})

test('a protection that is configured while the vault is deleted either keeps it or finds none', async () => {
  await builtInPolicy(api)
  const outcomes = []
  for (let round = 0; round < 8; round += 1) {
    const name = `vault-${round}`
    const other = encodeNodeId('Vault', (await addVault(api, name)).id)
    const server = encodeNodeId('PostgresServer', (await addServer(api, name)).id)
    const [configured, removed] = await Promise.all([
      api.mutate('configureProtection', { server, vault: other }, '... on NotFound { kind }'),
      remove({ vault: other, confirmName: name }),
    ])
    outcomes.push(`${configured.__typename} ${removed.__typename}`)
  }
  const possible = ['ConfigureProtectionPayload VaultNotEmpty', 'NotFound DeleteVaultPayload']
  expect(outcomes.filter((outcome) => !possible.includes(outcome))).toEqual([])
})

test('no vault is created within another one, around it, or beside it at the same moment', async () => {
  const create = (name: string, directory: string) =>
    api.mutate('createVault', { name, location: { directory } }, '... on LocationTaken { vault { name } }')
  for (const directory of ['/backups/main/sub', '/backups/main/a/../b', '/backups', '/backups/main/']) {
    expect(await create('nested', directory)).toMatchObject({ __typename: 'LocationTaken', vault: { name: 'main' } })
  }
  expect(await create('beside', '/backups/main-2')).toMatchObject({ __typename: 'CreateVaultPayload' })
  const answers = await Promise.all([create('outer', '/new'), create('inner', '/new/inner')])
  expect(answers.map(({ __typename }) => __typename).toSorted()).toEqual(['CreateVaultPayload', 'LocationTaken'])
  const { data } = await api.ask('{ vaults { nodes { name } } }')
  expect(listAt(data, 'vaults.nodes')).toHaveLength(3)
})
