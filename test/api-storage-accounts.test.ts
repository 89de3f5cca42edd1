import { afterEach, beforeEach, expect, test } from 'vitest'
import { auditRecords } from '../src/database/tables/audit.ts'
import { storageAccounts } from '../src/database/tables/storage-account.ts'
import { encodeNodeId } from '../src/graphql/schema/ids.ts'
import { deleteVault } from '../src/vault/delete.ts'
import { type Api, at, listAt, startApi, textAt } from './kit/api.ts'
import { addContainer, addInstance, addPoint, addStorageAccount, addVault } from './kit/catalogue.ts'

let api: Api
beforeEach(async () => {
  api = await startApi()
})
afterEach(() => api[Symbol.asyncDispose]())

const secret = 'n0t/To+Be/Shown0123'
const s3 = { bucket: 'exports', region: 'eu-central-1', accessKeyId: 'AKIDFIRST', secretAccessKey: secret }
const unknown = '00000000-0000-4000-8000-000000000000'

const create = (name: string, location: Record<string, unknown>, rules: Record<string, unknown> = {}) =>
  api.mutate(
    'createStorageAccount',
    { name, location, ...rules },
    `... on CreateStorageAccountPayload { storageAccount { id name storageKind directory capabilities { conditionalCreate }
       publicNetworkAccess allowTrustedServices resourceInstances { name }
       s3 { bucket prefix endpoint accessKeyId secretSetAt } } }
     ... on LocationTaken { vault { name } } ... on LocationTakenByStorageAccount { storageAccount { name } }
     ... on NameTaken { takenName } ... on InvalidInput { field } ... on NotFound { kind idField: field }`,
  )

const createContainer = (storageAccount: unknown, name: string) =>
  api.mutate(
    'createStorageContainer',
    { storageAccount, name },
    `... on CreateStorageContainerPayload { storageContainer { id name storageAccount { name } } }
     ... on NameTaken { takenName } ... on InvalidInput { field }`,
  )

const createVaultIn = (name: string, directory: string) =>
  api.mutate(
    'createVault',
    { name, location: { directory } },
    '... on LocationTaken { vault { name } } ... on LocationTakenByStorageAccount { storageAccount { name } }',
  )

test('an account in a bucket is created, and its secret is neither shown nor kept in the open', async () => {
  const created = await create('cloud', { s3: { ...s3, prefix: 'restored', endpoint: 'https://S3.example.com:443/' } })
  expect(created).toMatchObject({
    storageAccount: {
      name: 'cloud',
      storageKind: 'S3',
      directory: null,
      capabilities: null,
      publicNetworkAccess: 'ENABLED',
      allowTrustedServices: true,
      resourceInstances: [],
      s3: { bucket: 'exports', prefix: 'restored/', endpoint: 'https://s3.example.com', accessKeyId: 'AKIDFIRST' },
    },
  })
  const update = (storageAccount: unknown, secretAccessKey = 'other-secret') =>
    api.mutate(
      'updateStorageAccountCredentials',
      { storageAccount, accessKeyId: 'AKIDOTHER', secretAccessKey },
      '... on UpdateStorageAccountCredentialsPayload { storageAccount { s3 { accessKeyId secretSetAt } } } ... on InvalidInput { field }',
    )
  const id = textAt(created, 'storageAccount.id')
  api.clock.now = new Date('2026-03-02T00:00:00Z')
  const changed = await update(id)
  expect(changed).toMatchObject({
    storageAccount: { s3: { accessKeyId: 'AKIDOTHER', secretSetAt: '2026-03-02T00:00:00.000Z' } },
  })
  expect(await update(id, 'a b')).toMatchObject({ field: 'secretAccessKey' })
  const directory = encodeNodeId('StorageAccount', (await addStorageAccount(api)).id)
  expect(await update(directory)).toMatchObject({ __typename: 'InvalidInput', field: 'storageAccount' })
  const [row] = await api.database.select().from(storageAccounts)
  if (row?.location.kind !== 'S3') throw new Error('The account is not in a bucket any more.')
  expect(api.secrets.open(row.location.sealedSecretAccessKey)).toBe('other-secret')
  const rows = [await api.database.select().from(storageAccounts), await api.database.select().from(auditRecords)]
  expect(JSON.stringify([created, changed, rows])).not.toMatch(/n0t.To|other-secret/)
})

test('accounts are listed by a part of their names, with their containers', async () => {
  const one = await create('Exports one', { directory: '/exports/one' })
  await create('other', { directory: '/exports/two' })
  const account = at(one, 'storageAccount.id')
  expect(await createContainer(account, 'orders')).toMatchObject({
    storageContainer: { name: 'orders', storageAccount: { name: 'Exports one' } },
  })
  await createContainer(account, 'shop-2026')
  expect(await createContainer(account, 'orders')).toMatchObject({ __typename: 'NameTaken', takenName: 'orders' })
  const { data } = await api.ask(
    `query ($account: ID!) { storageAccounts(filter: { nameContains: "EXPORTS" }) { totalCount nodes { name containers { totalCount nodes { name } } } }
     storageAccount(id: $account) { name containers(first: 1) { nodes { id } pageInfo { hasNextPage } } } }`,
    { account },
  )
  expect(at(data, 'storageAccounts')).toEqual({
    totalCount: 1,
    nodes: [
      {
        name: 'Exports one',
        containers: { totalCount: 2, nodes: [{ name: expect.any(String) }, { name: expect.any(String) }] },
      },
    ],
  })
  expect(at(data, 'storageAccount.containers.pageInfo')).toEqual({ hasNextPage: true })
  const [container] = listAt(data, 'storageAccount.containers.nodes')
  const node = await api.ask('query ($id: ID!) { storageContainer(id: $id) { storageAccount { name } } }', {
    id: container?.id,
  })
  expect(node.data).toEqual({ storageContainer: { storageAccount: { name: 'Exports one' } } })
})

test.each(['ab', 'Orders', 'a--b', '-orders', 'orders-', '../orders', 'a/b', 'a b', 'x'.repeat(64), 'é-orders', ''])(
  'a container cannot be named %j',
  async (name) => {
    const account = await addStorageAccount(api)
    expect(await createContainer(encodeNodeId('StorageAccount', account.id), name)).toMatchObject({
      __typename: 'InvalidInput',
      field: 'name',
    })
  },
)

test('no account lies in a vault or another account or around one, and no vault in an account', async () => {
  await createVaultIn('main', '/backups/main')
  for (const directory of ['/backups/main', '/backups/main/exports', '/backups', '/backups/./main/']) {
    expect(await create('exports', { directory })).toMatchObject({
      __typename: 'LocationTaken',
      vault: { name: 'main' },
    })
  }
  expect(await create('exports', { directory: '/backups/main-exports' })).toMatchObject({
    __typename: 'CreateStorageAccountPayload',
  })
  for (const directory of ['/backups/main-exports', '/backups/main-exports/deep']) {
    const taken = { __typename: 'LocationTakenByStorageAccount', storageAccount: { name: 'exports' } }
    expect(await create('second', { directory })).toMatchObject(taken)
    expect(await createVaultIn('second', directory)).toMatchObject(taken)
  }
  expect(await createVaultIn('third', '/')).toMatchObject({ __typename: 'InvalidInput' })
  await create('bucket', { s3: { ...s3, prefix: 'a/b' } })
  for (const prefix of [null, 'a', 'a/b', 'a/b/c']) {
    expect(await create('again', { s3: { ...s3, prefix } })).toMatchObject({
      __typename: 'LocationTakenByStorageAccount',
    })
  }
  expect(await create('beside', { s3: { ...s3, prefix: 'a/bc' } })).toMatchObject({
    __typename: 'CreateStorageAccountPayload',
  })
})

test('of a vault and an account that ask for one place at once, one gets it', async () => {
  const answers = await Promise.all([
    createVaultIn('main', '/places/one'),
    create('exports', { directory: '/places/one/within' }),
    create('others', { directory: '/places' }),
  ])
  const names = answers.map(({ __typename }) => String(__typename))
  expect(names.filter((name) => name.endsWith('Payload'))).toHaveLength(1)
  expect(names.filter((name) => name.startsWith('LocationTaken'))).toHaveLength(2)
})

const change = (storageAccount: string, input: Record<string, unknown>) =>
  api.mutate(
    'updateStorageAccountNetworking',
    { storageAccount, ...input },
    `... on UpdateStorageAccountNetworkingPayload { storageAccount { publicNetworkAccess allowTrustedServices resourceInstances { name } }
       resourceInstances { name } changes { field before after } }
     ... on InvalidInput { field } ... on NotFound { kind idField: field }`,
  )

test('network rules are changed one by one, told in the audit log, and rehearsed by a dry run', async () => {
  const account = encodeNodeId('StorageAccount', (await addStorageAccount(api)).id)
  const [one, two] = [await addVault(api, 'one'), await addVault(api, 'two')]
  const ids = [one, two].map(({ id }) => encodeNodeId('Vault', id))
  const selected = { publicNetworkAccess: 'ENABLED_FROM_SELECTED_NETWORKS', resourceInstances: ids }
  const rehearsed = await change(account, { ...selected, dryRun: true })
  const { data } = await api.ask(
    'query ($id: ID!) { storageAccount(id: $id) { publicNetworkAccess resourceInstances { name } } }',
    {
      id: account,
    },
  )
  expect(data).toEqual({ storageAccount: { publicNetworkAccess: 'ENABLED', resourceInstances: [] } })
  const changes = [
    { field: 'publicNetworkAccess', before: 'ENABLED', after: 'ENABLED_FROM_SELECTED_NETWORKS' },
    { field: 'resourceInstances', before: '', after: '"one", "two"' },
  ]
  expect(rehearsed.changes).toEqual(changes)
  expect(listAt(rehearsed, 'resourceInstances')).toHaveLength(2)
  expect(await change(account, { ...selected, reason: 'for the auditors' })).toMatchObject({
    changes,
    storageAccount: { publicNetworkAccess: 'ENABLED_FROM_SELECTED_NETWORKS', allowTrustedServices: true },
  })
  api.clock.now = new Date('2026-03-02T00:00:00Z')
  expect(await change(account, { allowTrustedServices: false })).toMatchObject({
    changes: [{ field: 'allowTrustedServices', before: 'true', after: 'false' }],
    storageAccount: { publicNetworkAccess: 'ENABLED_FROM_SELECTED_NETWORKS' },
  })
  expect(await change(account, { allowTrustedServices: false })).toMatchObject({ changes: [] })
  const log = await api.ask(
    '{ auditLog(filter: { action: [updateStorageAccountNetworking] }) { nodes { reason changes { field before after } } } }',
  )
  expect(listAt(log.data, 'auditLog.nodes').map(({ reason }) => reason)).toEqual([null, 'for the auditors'])
  expect(await change(account, { publicNetworkAccess: null })).toMatchObject({ field: 'publicNetworkAccess' })
  expect(await change(account, { resourceInstances: [ids[0], encodeNodeId('Vault', unknown)] })).toMatchObject({
    __typename: 'NotFound',
    kind: 'vault',
  })
  expect(await change(account, { resourceInstances: [account] })).toMatchObject({
    __typename: 'NotFound',
    idField: 'resourceInstances[0]',
  })
})

test('a vault that is deleted leaves the lists of all accounts', async () => {
  const [gone, stays] = [await addVault(api, 'gone'), await addVault(api, 'stays')]
  const account = await addStorageAccount(api, 'exports', { resourceInstanceIds: [gone.id, stays.id] })
  const { database, clock } = api
  await deleteVault(database, { vaultId: gone.id, confirmName: 'gone', dryRun: false, actor: 'tester', now: clock.now })
  const { data } = await api.ask('query ($id: ID!) { storageAccount(id: $id) { resourceInstances { name } } }', {
    id: encodeNodeId('StorageAccount', account.id),
  })
  expect(data).toEqual({ storageAccount: { resourceInstances: [{ name: 'stays' }] } })
})

test('containers and accounts are deleted by their names, typed exactly', async () => {
  const account = await addStorageAccount(api)
  const container = await addContainer(api, account)
  const storageContainer = encodeNodeId('StorageContainer', container.id)
  const storageAccount = encodeNodeId('StorageAccount', account.id)
  expect(await api.mutate('deleteStorageContainer', { storageContainer, confirmName: 'Restored' }, '')).toMatchObject({
    __typename: 'ConfirmationMismatch',
  })
  expect(await api.mutate('deleteStorageAccount', { storageAccount, confirmName: 'exports ' }, '')).toMatchObject({
    __typename: 'ConfirmationMismatch',
  })
  const typed = { storageContainer, confirmName: 'restored' }
  expect(
    await api.mutate(
      'deleteStorageContainer',
      typed,
      '... on DeleteStorageContainerPayload { deletedStorageContainerId name }',
    ),
  ).toMatchObject({ deletedStorageContainerId: storageContainer, name: 'restored' })
  expect(await api.mutate('deleteStorageContainer', typed, '')).toMatchObject({ __typename: 'NotFound' })
  await addContainer(api, account, 'another')
  expect(
    await api.mutate(
      'deleteStorageAccount',
      { storageAccount, confirmName: 'exports' },
      '... on DeleteStorageAccountPayload { name }',
    ),
  ).toMatchObject({ name: 'exports' })
  expect((await api.ask('{ storageAccounts { totalCount } }')).data).toEqual({ storageAccounts: { totalCount: 0 } })
})

test('a restore into a container is refused with what cures it, and shown as it was asked for', async () => {
  const vault = await addVault(api, 'main')
  const point = await addPoint(api, await addInstance(api, { vault }))
  const other = await addVault(api, 'other')
  const account = await addStorageAccount(api, 'exports', {
    publicNetworkAccess: 'DISABLED',
    resourceInstanceIds: [other.id],
    allowTrustedServices: false,
  })
  const container = encodeNodeId('StorageContainer', (await addContainer(api, account)).id)
  const restore = (changes: Record<string, unknown> = {}, folder = 'orders/today/') =>
    api.mutate(
      'restoreAsFiles',
      {
        recoveryPoint: encodeNodeId('RecoveryPoint', point.id),
        target: { container: { id: container, folder } },
        ...changes,
      },
      `... on RestoreAsFilesPayload { job { recoveryDestination { directory folder format storageContainer { name storageAccount { name } }
         part { schemas } databases { name } } } }
       ... on ForbiddenByNetworkRules { storageAccount { id } vault { name }
         violations { rule message cure { publicNetworkAccess allowTrustedServices resourceInstances { id } } } }
       ... on InvalidInput { field } ... on RestoreAlreadyRunning { runningJob { id } }`,
    )
  const refused = await restore()
  expect(refused).toMatchObject({ __typename: 'ForbiddenByNetworkRules', vault: { name: 'main' } })
  const cures = listAt(refused, 'violations').map(({ cure }) => Object(cure))
  const given = <T>(name: string): T => cures.map((cure) => cure[name]).find((value) => value !== null)
  const cured = await change(textAt(refused, 'storageAccount.id'), {
    publicNetworkAccess: given('publicNetworkAccess'),
    allowTrustedServices: given('allowTrustedServices'),
    resourceInstances: given<{ id: string }[]>('resourceInstances').map(({ id }) => id),
  })
  expect(
    listAt(cured, 'resourceInstances')
      .map(({ name }) => name)
      .toSorted(),
  ).toEqual(['main', 'other'])
  const part = { database: 'shop', schemas: ['sales'] }
  expect(await restore({ part })).toMatchObject({ __typename: 'InvalidInput', field: 'part' })
  for (const folder of ['', '../x', '/x', 'a//b', 'a b', '.x']) {
    expect(await restore({}, folder)).toMatchObject({ __typename: 'InvalidInput', field: 'target.container.folder' })
  }
  expect(await restore({ part, format: 'PLAIN' })).toMatchObject({
    job: {
      recoveryDestination: {
        directory: null,
        folder: 'orders/today',
        format: 'PLAIN',
        storageContainer: { name: 'restored', storageAccount: { name: 'exports' } },
        part: { schemas: ['sales'] },
        databases: [{ name: 'shop' }],
      },
    },
  })
  expect(await restore()).toMatchObject({ __typename: 'RestoreAlreadyRunning' })
  expect(
    await api.mutate(
      'deleteStorageContainer',
      { storageContainer: container, confirmName: 'restored' },
      '... on StorageBeingRestoredInto { runningJob { operation } }',
    ),
  ).toMatchObject({ __typename: 'StorageBeingRestoredInto', runningJob: { operation: 'RESTORE' } })
})
