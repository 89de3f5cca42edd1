import { eq } from 'drizzle-orm'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { postgresServers } from '../src/database/tables/server.ts'
import { encodeNodeId } from '../src/graphql/schema/ids.ts'
import { type Api, at, listAt, startApi, textAt } from './kit/api.ts'
import { addInstance, addServer, addVault, builtInPolicy } from './kit/catalogue.ts'

let api: Api
beforeEach(async () => {
  api = await startApi()
})
afterEach(() => api[Symbol.asyncDispose]())

const unknown = '00000000-0000-4000-8000-000000000000'

test('a vault is created, and found by its id, in the list and as a node', async () => {
  const created = await api.mutate(
    'createVault',
    { name: 'main', location: { directory: '/backups/main/' } },
    '... on CreateVaultPayload { vault { id name storageKind directory recipient recoveryKeyExportedAt createdAt storedBytes recoveryPointCount } }',
  )
  expect(created).toMatchObject({
    __typename: 'CreateVaultPayload',
    vault: {
      name: 'main',
      storageKind: 'DIRECTORY',
      directory: '/backups/main',
      recipient: expect.stringMatching(/^age1/),
      recoveryKeyExportedAt: null,
      createdAt: '2026-03-01T12:00:00.000Z',
      storedBytes: 0,
      recoveryPointCount: 0,
    },
  })
  const id = textAt(created, 'vault.id')
  const { data } = await api.ask(
    'query ($id: ID!) { vault(id: $id) { name } node(id: $id) { ... on Vault { name } } vaults { totalCount nodes { id } } }',
    { id },
  )
  expect(data).toEqual({
    vault: { name: 'main' },
    node: { name: 'main' },
    vaults: { totalCount: 1, nodes: [{ id }] },
  })
})

test('a vault is refused whose name or place is taken, or whose place is no absolute path', async () => {
  const vault = await addVault(api, 'main')
  const create = (name: string, directory: string) =>
    api.mutate(
      'createVault',
      { name, location: { directory } },
      '... on NameTaken { takenName } ... on LocationTaken { vault { id } } ... on InvalidInput { field }',
    )
  expect(await create('main', '/elsewhere')).toMatchObject({ __typename: 'NameTaken', takenName: 'main' })
  expect(await create('other', '/backups/./main')).toMatchObject({
    __typename: 'LocationTaken',
    vault: { id: encodeNodeId('Vault', vault.id) },
  })
  for (const path of ['relative', '/', '', '/a\u0000b']) {
    expect(await create('other', path)).toMatchObject({ __typename: 'InvalidInput', field: 'location.directory' })
  }
  expect(await create(' padded', '/x')).toMatchObject({ __typename: 'InvalidInput', field: 'name' })
})

test('a location that names no place, or null, is not taken', async () => {
  const query = 'mutation ($input: CreateVaultInput!) { createVault(input: $input) { __typename } }'
  for (const location of [{}, { directory: null }]) {
    const { errors } = await api.ask(query, { input: { name: 'main', location } })
    expect(errors?.[0]?.extensions.code).toBe('BAD_USER_INPUT')
  }
})

test('a recovery key is handed out once', async () => {
  const vault = encodeNodeId('Vault', (await addVault(api)).id)
  const exportKey = (id: string) =>
    api.mutate(
      'exportRecoveryKey',
      { vault: id },
      '... on ExportRecoveryKeyPayload { recoveryKey vault { recoveryKeyExportedAt } } ... on RecoveryKeyAlreadyExported { exportedAt } ... on NotFound { kind }',
    )
  expect(await exportKey(vault)).toMatchObject({
    recoveryKey: expect.stringMatching(/^AGE-SECRET-KEY-1/),
    vault: { recoveryKeyExportedAt: '2026-03-01T12:00:00.000Z' },
  })
  expect(await exportKey(vault)).toMatchObject({
    __typename: 'RecoveryKeyAlreadyExported',
    exportedAt: '2026-03-01T12:00:00.000Z',
  })
  expect(await exportKey(encodeNodeId('Vault', unknown))).toMatchObject({ __typename: 'NotFound', kind: 'vault' })
})

test('a policy is created within the limits of retention', async () => {
  const create = (name: string, defaultRetention: string) =>
    api.mutate(
      'createPolicy',
      { name, defaultRetention },
      '... on CreatePolicyPayload { policy { name defaultRetention isBuiltIn createdAt } } ... on InvalidInput { field } ... on NameTaken { takenName }',
    )
  expect(await create('a year', 'P1Y')).toMatchObject({
    policy: { name: 'a year', defaultRetention: 'P1Y', isBuiltIn: false, createdAt: '2026-03-01T12:00:00.000Z' },
  })
  expect(await create('a year', 'P1Y')).toMatchObject({ __typename: 'NameTaken', takenName: 'a year' })
  for (const retention of ['P6D', 'P11Y', 'PT1.5S']) {
    expect(await create('odd', retention)).toMatchObject({ __typename: 'InvalidInput', field: 'defaultRetention' })
  }
  const builtIn = await builtInPolicy(api)
  const { data } = await api.ask('query ($id: ID!) { policy(id: $id) { isBuiltIn } policies { nodes { name } } }', {
    id: encodeNodeId('BackupPolicy', builtIn.id),
  })
  expect(data).toMatchObject({ policy: { isBuiltIn: true } })
  expect(listAt(data, 'policies.nodes')).toHaveLength(2)
})

test('a server is registered with defaults, and its password is nowhere to be read', async () => {
  const registered = await api.mutate(
    'registerServer',
    { name: 'db', host: 'db.example.com', username: 'backup', password: 'hunter2 hunter2' },
    `... on RegisterServerPayload { server { id name host port username passwordSetAt maintenanceDatabase tlsMode
      hasCaCertificate version versionNumber inspectedAt createdAt backupInstances { totalCount } } }`,
  )
  expect(registered).toMatchObject({
    server: {
      port: 5432,
      maintenanceDatabase: 'postgres',
      tlsMode: 'VERIFY_FULL',
      hasCaCertificate: false,
      version: null,
      versionNumber: null,
      inspectedAt: null,
      passwordSetAt: '2026-03-01T12:00:00.000Z',
      backupInstances: { totalCount: 0 },
    },
  })
  const log = await api.ask('{ auditLog { nodes { action details { name value } } } servers { nodes { name } } }')
  expect(JSON.stringify([registered, log])).not.toContain('hunter2')
})

test('a server is refused whose fields cannot be used', async () => {
  await addServer(api, 'db')
  const register = (changes: Record<string, unknown>) =>
    api.mutate(
      'registerServer',
      { name: 'other', host: 'h', username: 'u', password: 'p', ...changes },
      '... on InvalidInput { field } ... on NameTaken { takenName }',
    )
  expect(await register({ name: 'db' })).toMatchObject({ __typename: 'NameTaken', takenName: 'db' })
  const odd: Record<string, unknown>[] = [
    { host: '/var/run/postgresql' },
    { host: '@abstract' },
    { host: 'a,b' },
    { host: 'host=x' },
    { port: 0 },
    { port: 65_536 },
    { username: '' },
    { password: 'a\nb' },
    { maintenanceDatabase: 'x'.repeat(64) },
    { caCertificate: 'not PEM' },
  ]
  for (const changes of odd) {
    expect(await register(changes)).toMatchObject({ __typename: 'InvalidInput', field: Object.keys(changes)[0] })
  }
})

test('credentials are replaced', async () => {
  const server = encodeNodeId('PostgresServer', (await addServer(api)).id)
  api.clock.now = new Date('2026-03-02T00:00:00Z')
  const update = (changes: Record<string, unknown>) =>
    api.mutate(
      'updateServerCredentials',
      { server, username: 'other', password: 'new', ...changes },
      '... on UpdateServerCredentialsPayload { server { username passwordSetAt } } ... on NotFound { kind } ... on InvalidInput { field }',
    )
  expect(await update({})).toMatchObject({ server: { username: 'other', passwordSetAt: '2026-03-02T00:00:00.000Z' } })
  expect(await update({ password: 'a\u0000' })).toMatchObject({ __typename: 'InvalidInput', field: 'password' })
  expect(await update({ server: encodeNodeId('PostgresServer', unknown) })).toMatchObject({ kind: 'server' })
})

test('a server is moved to another address with its password typed again, and a dry run moves nothing', async () => {
  const registered = await addServer(api)
  const server = encodeNodeId('PostgresServer', registered.id)
  const move = (changes: Record<string, unknown>) =>
    api.mutate(
      'updateServerAddress',
      { server, host: 'standby.example.com', password: 'secret word', ...changes },
      '... on UpdateServerAddressPayload { server { host port maintenanceDatabase tlsMode username } } ... on NotFound { kind } ... on InvalidInput { field }',
    )
  const there = { host: 'standby.example.com', port: 5433, maintenanceDatabase: 'postgres', tlsMode: 'REQUIRE' }
  expect(await move({ port: 5433, dryRun: true })).toMatchObject({ server: { ...there, username: 'backup' } })
  const host = async () => at((await api.ask(`{ server(id: "${server}") { host } }`)).data, 'server.host')
  expect(await host()).toBe('db.example.com')
  expect(await move({ password: null })).toMatchObject({ __typename: 'InvalidInput', field: 'password' })
  for (const [field, value] of [
    ['host', '/tmp'],
    ['port', 0],
    ['maintenanceDatabase', ''],
    ['caCertificate', 'x'],
  ]) {
    expect(await move({ [String(field)]: value })).toMatchObject({ __typename: 'InvalidInput', field })
  }
  expect(await host()).toBe('db.example.com')
  expect(await move({ port: 5433 })).toMatchObject({ server: there })
  expect(await host()).toBe('standby.example.com')
  expect(await move({ server: encodeNodeId('PostgresServer', unknown) })).toMatchObject({ kind: 'server' })

  const imported = { username: null, sealedPassword: null, passwordSetAt: null }
  await api.database.update(postgresServers).set(imported).where(eq(postgresServers.id, registered.id))
  expect(await move({})).toMatchObject({ __typename: 'InvalidInput', field: 'password' })
  expect(await move({ host: 'new.example.com', password: null })).toMatchObject({ server: { username: null } })
})

test('a server is removed unless an instance protects it', async () => {
  const free = await addServer(api, 'free')
  const used = await addServer(api, 'used')
  await addInstance(api, { name: 'used in main', server: used })
  const remove = (serverId: string) =>
    api.mutate(
      'removeServer',
      { server: encodeNodeId('PostgresServer', serverId) },
      '... on RemoveServerPayload { removedServerId name } ... on ServerInUse { instanceNames } ... on NotFound { kind }',
    )
  expect(await remove(used.id)).toMatchObject({ __typename: 'ServerInUse', instanceNames: ['used in main'] })
  expect(await remove(free.id)).toMatchObject({
    removedServerId: encodeNodeId('PostgresServer', free.id),
    name: 'free',
  })
  expect(await remove(free.id)).toMatchObject({ __typename: 'NotFound', kind: 'server' })
})

test('the audit log tells who did what to what, and of what is gone the name', async () => {
  const vault = await addVault(api, 'main')
  const server = await addServer(api, 'db')
  await api.mutate('removeServer', { server: encodeNodeId('PostgresServer', server.id) }, '')
  const { data } = await api.ask(
    '{ viewer { name } auditLog { totalCount nodes { id at actor action subjectKind subjectName subject { id } reason details { name value } } } }',
  )
  expect(data).toMatchObject({ viewer: { name: 'local' }, auditLog: { totalCount: 3 } })
  const records = listAt(data, 'auditLog.nodes')
  expect(records.find(({ action }) => action === 'removeServer')).toMatchObject({
    actor: 'local',
    subjectKind: 'PostgresServer',
    subjectName: 'db',
    subject: null,
    reason: null,
  })
  expect(records.find(({ action }) => action === 'createVault')).toMatchObject({
    actor: 'tester',
    subject: { id: encodeNodeId('Vault', vault.id) },
    details: [{ name: 'directory', value: '/backups/main' }],
  })
  const again = await api.ask('query ($id: ID!) { node(id: $id) { ... on AuditRecord { action } } }', {
    id: records[0]?.id,
  })
  expect(at(again, 'data.node.action')).toBe(records[0]?.action)
})
