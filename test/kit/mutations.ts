import { eq } from 'drizzle-orm'
import { backupInstances } from '../../src/database/tables/backup-instance.ts'
import { vaults } from '../../src/database/tables/vault.ts'
import { encodeNodeId } from '../../src/graphql/schema/ids.ts'
import type { ProtectionState } from '../../src/instance/instance.ts'
import { generateIdentity } from '../../src/secret/age-identity.ts'
import type { Api } from './api.ts'
import {
  addBucketAccount,
  addBucketVault,
  addContainer,
  addInstance,
  addPoint,
  addPolicy,
  addServer,
  addStorageAccount,
  addVault,
  builtInPolicy,
} from './catalogue.ts'
import { addWebhook } from './channels.ts'
import { enqueue } from './runner.ts'

type Input = Record<string, unknown>

/**
 * How to call each mutation of the schema so that it does its work: what it needs is added first. A new mutation gets an
 * entry here, and the tests that hold for all mutations hold for it.
 */
export const mutations: Readonly<Record<string, (api: Api) => Promise<Input>>> = {
  createVault: async () => ({ name: 'new', location: { directory: '/backups/new' }, softDelete: { retentionDays: 3 } }),
  updateVaultSecurity: async (api) => ({ ...(await vault(api)), immutability: 'UNLOCKED', reason: 'audit asked' }),
  updateVaultCredentials: async (api) => ({
    vault: encodeNodeId('Vault', (await addBucketVault(api)).id),
    accessKeyId: 'AKIDOTHER',
    secretAccessKey: 'secret-word-2',
  }),
  setVaultReplica: async (api) => ({
    ...(await vault(api)),
    replicaVault: encodeNodeId('Vault', (await addVault(api, 'elsewhere')).id),
    retention: 'P90D',
  }),
  backUpMetadata: async (api) => {
    const { id } = await addVault(api, 'set up')
    await api.database
      .update(vaults)
      .set({ capabilities: { conditionalCreate: true, largestObjectBytes: null } })
      .where(eq(vaults.id, id))
    return { vault: encodeNodeId('Vault', id) }
  },
  switchMetadataBackup: async (api) => ({ ...(await vault(api)), isOn: false, reason: 'another one has it' }),
  deleteVault: async (api) => ({ ...(await vault(api, 'empty')), confirmName: 'empty' }),
  exportRecoveryKey: vault,
  rotateVaultKey: vault,
  importVault: async () => ({
    name: 'found',
    location: { directory: '/backups/found' },
    recoveryKey: generateIdentity().identity,
  }),
  rebuildCatalogue: vault,
  createPolicy: async () => ({ name: 'new', defaultRetention: 'P30D' }),
  revisePolicy: async (api) => ({ ...(await policy(api)), defaultRetention: 'P60D' }),
  deletePolicy: policy,
  registerServer: async () => ({ name: 'new', host: 'db', username: 'backup', password: 'secret word' }),
  updateServerAddress: async (api) => ({
    ...(await server(api)),
    host: 'standby.example.com',
    password: 'secret word',
  }),
  updateServerCredentials: async (api) => ({ ...(await server(api)), username: 'other', password: 'secret word' }),
  removeServer: server,
  configureProtection: async (api) => {
    await builtInPolicy(api)
    return { ...(await server(api)), ...(await vault(api)) }
  },
  validateForBackup: async (api) => {
    await builtInPolicy(api)
    return { ...(await server(api)), ...(await vault(api)) }
  },
  retryConfigureProtection: (api) => instance(api, 'CONFIGURING_PROTECTION_FAILED'),
  changePolicy: async (api) => ({ ...(await instance(api)), ...(await policy(api)) }),
  backUpNow: (api) => instance(api),
  stopProtection: async (api) => ({
    ...(await instance(api)),
    data: 'RETAIN_FOREVER',
    reason: 'COST',
    comment: 'too dear',
  }),
  resumeProtection: (api) => instance(api, 'PROTECTION_STOPPED'),
  deleteBackupInstance: async (api) => ({ ...(await instance(api)), confirmName: 'db in main', reason: 'TESTING' }),
  undeleteBackupInstance: (api) => instance(api, 'SOFT_DELETED'),
  approveExpiry: async (api) => {
    const { id } = await addInstance(api)
    const blocked = { expiryBlockedAt: api.clock.now, expiryBlockedCount: 3 }
    await api.database.update(backupInstances).set(blocked).where(eq(backupInstances.id, id))
    return { backupInstance: encodeNodeId('BackupInstance', id) }
  },
  setProofAssertions: async (api) => ({
    ...(await instance(api)),
    assertions: [{ name: 'orders are there', database: 'shop', query: 'select count(*) > 0 from orders' }],
  }),
  acknowledgeContentAnomaly: async (api) => {
    const anomalies = [{ kind: 'ROWS_FELL' as const, database: 'shop', before: 1_000, after: 0 }]
    const { instanceId } = await addPoint(api, await addInstance(api), { anomalies })
    const held = { contentAnomalySince: api.clock.now }
    await api.database.update(backupInstances).set(held).where(eq(backupInstances.id, instanceId))
    return { backupInstance: encodeNodeId('BackupInstance', instanceId), comment: 'the archive was moved' }
  },
  holdRecoveryPoint: async (api) => ({ ...(await point(api)), reason: 'a lawsuit' }),
  releaseRecoveryPoint: (api) => point(api, { heldAt: api.clock.now, heldBy: 'tester', holdReason: 'a lawsuit' }),
  verifyRecoveryPoint: (api) => point(api),
  validateRestore: async (api) => ({
    ...(await point(api)),
    target: { files: { target: { directory: '/restored' } } },
  }),
  restoreAsFiles: async (api) => ({ ...(await point(api)), target: { directory: '/restored' } }),
  restoreToServer: async (api) => ({ ...(await point(api)), ...(await server(api, 'target')) }),
  cancelJob: async (api) => ({ job: encodeNodeId('Job', (await enqueue(api.database)).id) }),
  createStorageAccount: async () => ({ name: 'new', location: { directory: '/exports/new' } }),
  updateStorageAccountNetworking: async (api) => ({
    ...(await storageAccount(api)),
    publicNetworkAccess: 'DISABLED',
    reason: 'closed',
  }),
  updateStorageAccountCredentials: async (api) => ({
    storageAccount: encodeNodeId('StorageAccount', (await addBucketAccount(api)).id),
    accessKeyId: 'AKIDOTHER',
    secretAccessKey: 'secret-word-2',
  }),
  deleteStorageAccount: async (api) => ({ ...(await storageAccount(api)), confirmName: 'exports' }),
  createStorageContainer: async (api) => ({ ...(await storageAccount(api)), name: 'restored' }),
  deleteStorageContainer: async (api) => {
    const container = await addContainer(api, await addStorageAccount(api))
    return { storageContainer: encodeNodeId('StorageContainer', container.id), confirmName: 'restored' }
  },
  createNotificationChannel: async () => ({
    name: 'new',
    target: { webhook: { url: 'https://alerts.example.com/x' } },
  }),
  deleteNotificationChannel: channel,
  testNotificationChannel: channel,
  rotateNotificationChannelSecret: channel,
}

async function vault(api: Api, name = 'some vault'): Promise<Input> {
  return { vault: encodeNodeId('Vault', (await addVault(api, name)).id) }
}

async function storageAccount(api: Api): Promise<Input> {
  return { storageAccount: encodeNodeId('StorageAccount', (await addStorageAccount(api)).id) }
}

async function policy(api: Api): Promise<Input> {
  return { policy: encodeNodeId('BackupPolicy', (await addPolicy(api, 'some policy')).id) }
}

async function server(api: Api, name = 'some server'): Promise<Input> {
  return { server: encodeNodeId('PostgresServer', (await addServer(api, name)).id) }
}

async function instance(api: Api, state?: ProtectionState): Promise<Input> {
  const { id } = await addInstance(api, state && { state })
  return { backupInstance: encodeNodeId('BackupInstance', id) }
}

async function point(api: Api, parts?: Parameters<typeof addPoint>[2]): Promise<Input> {
  const { id } = await addPoint(api, await addInstance(api), parts)
  return { recoveryPoint: encodeNodeId('RecoveryPoint', id) }
}

async function channel(api: Api): Promise<Input> {
  const added = await addWebhook(api.database, { secrets: api.secrets })
  return { channel: encodeNodeId('NotificationChannel', ('channel' in added ? added.channel : added).id) }
}
