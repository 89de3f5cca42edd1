import { afterEach, beforeEach, expect, test } from 'vitest'
import { auditRecords } from '../src/database/tables/audit.ts'
import { vaults } from '../src/database/tables/vault.ts'
import { encodeNodeId } from '../src/graphql/schema/ids.ts'
import { type Api, listAt, startApi, textAt } from './kit/api.ts'
import { addVault } from './kit/catalogue.ts'

let api: Api
beforeEach(async () => {
  api = await startApi()
})
afterEach(() => api[Symbol.asyncDispose]())

const secret = 'n0t/To+Be/Shown0123'
const bucket = { bucket: 'backups', region: 'eu-central-1', accessKeyId: 'AKIDFIRST', secretAccessKey: secret }

const create = (name: string, changes: Record<string, unknown> = {}) =>
  api.mutate(
    'createVault',
    { name, location: { s3: { ...bucket, ...changes } } },
    `... on CreateVaultPayload { vault { id storageKind directory capabilities { conditionalCreate }
       s3 { bucket prefix endpoint region pathStyle accessKeyId secretSetAt } } }
     ... on LocationTaken { vault { name } } ... on InvalidInput { field }`,
  )

test('a vault in a bucket is created, and its secret is neither shown nor kept in the open', async () => {
  const created = await create('cloud', { prefix: 'holdfast/main', endpoint: 'https://S3.example.com:443/' })
  expect(created).toMatchObject({
    __typename: 'CreateVaultPayload',
    vault: {
      storageKind: 'S3',
      directory: null,
      capabilities: null,
      s3: {
        bucket: 'backups',
        prefix: 'holdfast/main/',
        endpoint: 'https://s3.example.com',
        region: 'eu-central-1',
        pathStyle: true,
        accessKeyId: 'AKIDFIRST',
        secretSetAt: '2026-03-01T12:00:00.000Z',
      },
    },
  })
  expect(await create('amazon')).toMatchObject({ vault: { s3: { prefix: null, endpoint: null, pathStyle: false } } })
  const rows = [await api.database.select().from(vaults), await api.database.select().from(auditRecords)]
  const log = await api.ask('{ auditLog { nodes { action details { name value } } } }')
  expect(JSON.stringify([created, rows, log])).not.toContain(secret.slice(0, 10))
  const [first] = listAt(log.data, 'auditLog.nodes').filter(({ details }) =>
    JSON.stringify(details).includes('example'),
  )
  expect(first?.details).toContainEqual({ name: 'bucket', value: 'backups' })
})

test('access keys are replaced, of buckets alone', async () => {
  const id = textAt(await create('cloud'), 'vault.id')
  api.clock.now = new Date('2026-03-02T00:00:00Z')
  const update = (changes: Record<string, unknown>) =>
    api.mutate(
      'updateVaultCredentials',
      { vault: id, accessKeyId: 'AKIDOTHER', secretAccessKey: 'other-secret', ...changes },
      '... on UpdateVaultCredentialsPayload { vault { s3 { bucket accessKeyId secretSetAt } } } ... on InvalidInput { field } ... on NotFound { kind }',
    )
  expect(await update({})).toMatchObject({
    vault: { s3: { bucket: 'backups', accessKeyId: 'AKIDOTHER', secretSetAt: '2026-03-02T00:00:00.000Z' } },
  })
  const [row] = await api.database.select().from(vaults)
  if (row?.location.kind !== 'S3') throw new Error('The vault is not in a bucket any more.')
  expect(api.secrets.open(row.location.sealedSecretAccessKey)).toBe('other-secret')
  expect(await update({ secretAccessKey: 'a b' })).toMatchObject({ field: 'secretAccessKey' })
  expect(await update({ accessKeyId: '' })).toMatchObject({ field: 'accessKeyId' })
  const directory = encodeNodeId('Vault', (await addVault(api)).id)
  expect(await update({ vault: directory })).toMatchObject({ __typename: 'InvalidInput', field: 'vault' })
  const unknown = encodeNodeId('Vault', '00000000-0000-4000-8000-000000000000')
  expect(await update({ vault: unknown })).toMatchObject({ __typename: 'NotFound' })
})

test('no two vaults share a place, however it is written', async () => {
  const endpoint = 'https://s3.example.com'
  expect(await create('first', { endpoint, prefix: 'a/b' })).toMatchObject({ __typename: 'CreateVaultPayload' })
  for (const taken of [
    { endpoint: 'https://S3.EXAMPLE.com:443', prefix: 'a/b/' },
    { endpoint, prefix: 'a' },
    { endpoint, prefix: 'a/b/c', region: 'other' },
    { endpoint },
  ]) {
    expect(await create('second', taken)).toMatchObject({ __typename: 'LocationTaken', vault: { name: 'first' } })
  }
  for (const [index, free] of [
    { endpoint, prefix: 'a/bc' },
    { endpoint, bucket: 'backups-2' },
    { endpoint: `${endpoint}:444`, prefix: 'a/b' },
  ].entries()) {
    expect(await create(`free ${index}`, free)).toMatchObject({ __typename: 'CreateVaultPayload' })
  }
  expect(await create('amazon', { prefix: 'x' })).toMatchObject({ __typename: 'CreateVaultPayload' })
  const same = { endpoint: 'https://s3.eu-central-1.amazonaws.com', prefix: 'x/y' }
  expect(await create('amazon again', same)).toMatchObject({ __typename: 'LocationTaken', vault: { name: 'amazon' } })
})

test.each([
  ['bucket', ['ab', 'Backups', 'a_b', 'a..b', '-ab', '10.0.0.1', 's3://backups', 'backups/x', 'x'.repeat(64), 'a\nb']],
  ['region', ['', 'eu central', 'x'.repeat(65)]],
  ['prefix', ['/a', 'a//b', '../a', 'a/.b', 'a b', 'ä', 'x'.repeat(100)]],
  ['accessKeyId', ['', 'a b', 'a/b', 'x'.repeat(129)]],
  ['secretAccessKey', ['', 'a b', 'a\n', 'x'.repeat(1001)]],
  ['pathStyle', [false]],
  [
    'endpoint',
    [
      ...[
        '',
        's3.example.com',
        'ftp://s3.example.com',
        'https://key:word@s3.example.com',
        'https://s3.example.com/path',
      ],
      ...['https://s3.example.com?x', 'https://s3.example.com#x', 'https:// s3', 'https://s3.example.com:0'],
      ...['http://s3.example.com', 'http://8.8.8.8', 'http://169.254.169.254', 'http://127.0.0.1.example.com'],
      ...['http://[2001:db8::1]', 'http://10.example.com', 'http://172.32.0.1'],
    ],
  ],
])('a bucket is refused whose %s cannot be used', async (field, values) => {
  for (const value of values) {
    const dotted = field === 'pathStyle' ? { bucket: 'back.ups' } : {}
    const path = `location.s3.${field}`
    const refused = await create('odd', { [field]: value, ...dotted })
    expect(refused, String(value)).toMatchObject({ __typename: 'InvalidInput', field: path })
    expect(JSON.stringify(refused)).not.toContain(secret)
  }
})

test('plain http is taken within a private network', async () => {
  const near = ['http://127.0.0.1:9000', 'http://localhost:9000', 'http://minio:9000', 'http://[::1]:9000']
  const inner = ['http://10.1.2.3', 'http://172.16.0.1', 'http://192.168.1.1', 'http://s3.internal', 'http://[fd00::1]']
  for (const endpoint of [...near, ...inner]) {
    expect(await create(endpoint, { endpoint }), endpoint).toMatchObject({ vault: { s3: { endpoint } } })
  }
})
