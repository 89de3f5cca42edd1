import { backupInstances } from '../../src/database/tables/backup-instance.ts'
import { recoveryPoints } from '../../src/database/tables/recovery-point.ts'
import type { BackupInstance, ProtectionState } from '../../src/instance/instance.ts'
import { createPolicy } from '../../src/policy/create.ts'
import { findBuiltInPolicy } from '../../src/policy/find.ts'
import type { BackupPolicy } from '../../src/policy/policy.ts'
import { seedPolicies } from '../../src/policy/seed.ts'
import type { RecoveryPoint } from '../../src/recovery-point/recovery-point.ts'
import { registerServer } from '../../src/server/register.ts'
import type { PostgresServer } from '../../src/server/server.ts'
import { createStorageAccount } from '../../src/storage-account/create.ts'
import { createStorageContainer } from '../../src/storage-account/create-container.ts'
import type { NetworkRules } from '../../src/storage-account/network-rules.ts'
import type { StorageAccount, StorageContainer } from '../../src/storage-account/storage-account.ts'
import { createVault } from '../../src/vault/create.ts'
import type { Vault } from '../../src/vault/vault.ts'
import type { Api } from './api.ts'
import { enqueue } from './runner.ts'

// Rows as the operations leave them, for tests of what is shown: nothing here runs a worker.

export async function addServer({ database, secrets, clock }: Api, name = 'db'): Promise<PostgresServer> {
  return registerServer(database, {
    name,
    host: 'db.example.com',
    port: 5432,
    username: 'backup',
    password: 'secret word',
    maintenanceDatabase: 'postgres',
    tlsMode: 'REQUIRE',
    caCertificate: null,
    secrets,
    actor: 'tester',
    now: clock.now,
  })
}

export async function addVault({ database, secrets, clock }: Api, name = 'main'): Promise<Vault> {
  const location = { kind: 'DIRECTORY' as const, path: `/backups/${name}` }
  return createVault(database, { name, location, secrets, actor: 'tester', now: clock.now })
}

/** A vault in a bucket that nobody asks for anything. */
export async function addBucketVault({ database, secrets, clock }: Api, name = 'cloud'): Promise<Vault> {
  const location = {
    kind: 'S3' as const,
    bucket: `backups-${name.replaceAll(' ', '-')}`,
    prefix: 'main',
    endpoint: 'https://s3.example.com',
    region: 'eu-central-1',
    pathStyle: null,
    accessKeyId: 'AKIDFIRST',
    secretAccessKey: 'secret-word-1',
  }
  return createVault(database, { name, location, secrets, actor: 'tester', now: clock.now })
}

/** A storage account in a directory that nobody writes into; open to every vault unless rules are given. */
export async function addStorageAccount(
  { database, secrets, clock }: Api,
  name = 'exports',
  rules: Partial<NetworkRules> = {},
): Promise<StorageAccount> {
  return createStorageAccount(database, {
    name,
    location: { kind: 'DIRECTORY', path: `/exports/${name}` },
    rules: { publicNetworkAccess: 'ENABLED', allowTrustedServices: true, resourceInstanceIds: [], ...rules },
    secrets,
    actor: 'tester',
    now: clock.now,
  })
}

/** A storage account in a bucket that nobody asks for anything. */
export async function addBucketAccount({ database, secrets, clock }: Api, name = 'cloud'): Promise<StorageAccount> {
  return createStorageAccount(database, {
    name,
    location: {
      kind: 'S3',
      bucket: 'exports',
      prefix: 'main',
      endpoint: 'https://s3.example.com',
      region: 'eu-central-1',
      pathStyle: null,
      accessKeyId: 'AKIDFIRST',
      secretAccessKey: 'secret-word-1',
    },
    rules: { publicNetworkAccess: 'ENABLED', allowTrustedServices: true, resourceInstanceIds: [] },
    secrets,
    actor: 'tester',
    now: clock.now,
  })
}

export async function addContainer(
  { database, clock }: Api,
  account: StorageAccount,
  name = 'restored',
): Promise<StorageContainer> {
  const asked = { actor: 'tester', now: clock.now }
  return createStorageContainer(database, { storageAccountId: account.id, name, ...asked })
}

export async function addPolicy({ database, clock }: Api, name = 'a month'): Promise<BackupPolicy> {
  return createPolicy(database, { name, defaultRetention: 'P30D', actor: 'tester', now: clock.now })
}

export async function builtInPolicy({ database, clock }: Api): Promise<BackupPolicy> {
  await seedPolicies(database, { now: clock.now })
  const policy = await findBuiltInPolicy(database)
  if (!policy) throw new Error('There is no built-in policy.')
  return policy
}

export interface InstanceParts {
  name?: string
  state?: ProtectionState
  server?: PostgresServer
  vault?: Vault
  /** The built-in one when left out. */
  policy?: BackupPolicy
  createdAt?: Date
}

export async function addInstance(api: Api, parts: InstanceParts = {}): Promise<BackupInstance> {
  const { name = 'db in main', state = 'PROTECTION_CONFIGURED', createdAt = api.clock.now } = parts
  const policy = parts.policy ?? (await builtInPolicy(api))
  const [added] = await api.database
    .insert(backupInstances)
    .values({
      id: crypto.randomUUID(),
      name,
      serverId: (parts.server ?? (await addServer(api, `server of ${name}`))).id,
      vaultId: (parts.vault ?? (await addVault(api, `vault-${crypto.randomUUID()}`))).id,
      policyId: policy.id,
      policyVersion: policy.version,
      state,
      stateSince: createdAt,
      createdAt,
    })
    .returning()
  if (!added) throw new Error('The instance was not added.')
  return added
}

/** A recovery point with the completed backup job that made it. */
export async function addPoint(
  api: Api,
  instance: BackupInstance,
  parts: Partial<typeof recoveryPoints.$inferInsert> = {},
): Promise<RecoveryPoint & { jobId: string }> {
  const { database, clock } = api
  const { createdAt = clock.now } = parts
  const subject = { instanceId: instance.id, vaultId: instance.vaultId, instanceName: instance.name }
  const job = await enqueue(database, { subject, now: createdAt })
  const [added] = await database
    .insert(recoveryPoints)
    .values({
      id: crypto.randomUUID(),
      instanceId: instance.id,
      vaultId: instance.vaultId,
      jobId: job.id,
      prefix: `points/${instance.id}/${job.id}.1/`,
      state: 'AVAILABLE',
      tag: 'DEFAULT',
      policyName: 'On demand, 30 days',
      policyVersion: 1,
      pointInTime: createdAt,
      createdAt,
      expiresAt: new Date(createdAt.getTime() + 30 * 86_400_000),
      proof: 'READ_BACK',
      provenAt: createdAt,
      manifestSha256: '0'.repeat(64),
      serverVersionNumber: 150_006,
      toolMajor: 15,
      sourceBytes: 5_000_000_000,
      storedBytes: 1_000_000_000,
      databases: [
        { name: 'shop', sourceBytes: 4_000_000_000, storedBytes: 900_000_000, tableCount: 7, rowCount: 3_000_000_000 },
        { name: 'postgres', sourceBytes: 1_000_000_000, storedBytes: 100_000_000, tableCount: 0, rowCount: 0 },
      ],
      ...parts,
    })
    .returning()
  if (!added) throw new Error('The point was not added.')
  return { ...added, jobId: added.jobId ?? job.id }
}
