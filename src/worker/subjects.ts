import type { ServerAddress } from '../engine/address.ts'
import { findInstances } from '../instance/find.ts'
import type { BackupInstance } from '../instance/instance.ts'
import type { ClaimedJob } from '../job/handler.ts'
import { findPolicies } from '../policy/find.ts'
import type { BackupPolicy } from '../policy/policy.ts'
import { findRecoveryPoints } from '../recovery-point/find.ts'
import type { RecoveryPoint } from '../recovery-point/recovery-point.ts'
import type { SecretBox } from '../secret/secret-box.ts'
import { findServers } from '../server/find.ts'
import type { PostgresServer } from '../server/server.ts'
import type { Storage } from '../storage/contract.ts'
import { openStorage, type StorageLocation } from '../storage/open.ts'
import { findContainer } from '../storage-account/find.ts'
import type { ContainerContext } from '../storage-account/storage-account.ts'
import { findVaults } from '../vault/find.ts'
import { findSealedIdentities } from '../vault/key/find.ts'
import type { Vault } from '../vault/vault.ts'
import type { WorkerContext } from './context.ts'
import { WorkFailed } from './failure.ts'

/** The backup instance a job is about, with everything it joins; fails with GONE when a part was deleted meanwhile. */
export async function instanceOf(
  { database }: WorkerContext,
  job: ClaimedJob,
): Promise<{ instance: BackupInstance; server: PostgresServer; vault: Vault; policy: BackupPolicy }> {
  const instance = present((await findInstances(database, idsOf(job.instanceId)))[0], 'The backup instance')
  const server = await serverOf(database, instance.serverId)
  const vault = await vaultOf(database, instance.vaultId)
  const policy = present((await findPolicies(database, [instance.policyId]))[0], 'The policy')
  return { instance, server, vault, policy }
}

/** The server and the vault that a job without a backup instance is about. */
export async function serverAndVaultOf(
  { database }: WorkerContext,
  { serverId, vaultId }: ClaimedJob,
): Promise<{ server: PostgresServer; vault: Vault }> {
  return { server: await serverOf(database, serverId ?? ''), vault: await vaultOf(database, vaultId ?? '') }
}

/** The recovery point a job is about, and its vault. */
export async function pointOf(
  { database }: WorkerContext,
  job: ClaimedJob,
): Promise<{ point: RecoveryPoint; vault: Vault }> {
  const point = present((await findRecoveryPoints(database, idsOf(job.recoveryPointId)))[0], 'The recovery point')
  return { point, vault: await vaultOf(database, point.vaultId) }
}

/** What a copy is about: the point, its instance and vault, and the vault that gets the copy. */
export interface CopySubjects {
  instance: BackupInstance
  original: RecoveryPoint
  vault: Vault
  replica: Vault
}

/** Everything that a job which copies a point is about; fails with GONE when a part was deleted meanwhile. */
export async function copySubjectsOf(context: WorkerContext, job: ClaimedJob): Promise<CopySubjects> {
  const { database } = context
  const { point: original, vault } = await pointOf(context, job)
  const instance = present((await findInstances(database, [original.instanceId]))[0], 'The backup instance')
  return { instance, original, vault, replica: await vaultOf(database, job.vaultId ?? '') }
}

export async function serverOf(database: WorkerContext['database'], serverId: string): Promise<PostgresServer> {
  return present((await findServers(database, [serverId]))[0], 'The server')
}

/** The vault with that id; fails with GONE when there is none any more. */
export async function vaultOf(database: WorkerContext['database'], vaultId: string): Promise<Vault> {
  return present((await findVaults(database, [vaultId]))[0], 'The vault')
}

/** How to sign in to a server, its password opened; keep it out of every log and error. Fails with CREDENTIALS_MISSING. */
export function addressOf(server: PostgresServer, secrets: SecretBox): ServerAddress {
  if (server.username === null || server.sealedPassword === null) {
    throw new WorkFailed('CREDENTIALS_MISSING', `No credentials are set for server "${server.name}".`)
  }
  return {
    host: server.host,
    port: server.port,
    username: server.username,
    password: secrets.open(server.sealedPassword),
    maintenanceDatabase: server.maintenanceDatabase,
    tlsMode: server.tlsMode,
    caCertificate: server.caCertificate,
  }
}

/** Every secret key that something in a vault may be sealed for, opened, the present one first; keep them out of every log and error. */
export async function identitiesOf(
  { database, secrets }: Pick<WorkerContext, 'database' | 'secrets'>,
  { id }: Pick<Vault, 'id'>,
): Promise<string[]> {
  return (await findSealedIdentities(database, id)).map((sealed) => secrets.open(sealed))
}

/** The storage that a vault or storage account is in, its access key opened. */
export function storageOf(context: Pick<WorkerContext, 'secrets'>, { location }: Pick<Vault, 'location'>): Storage {
  return openStorage(openLocation(context, location))
}

/** A place with its access key opened; keep it out of every log and error. */
export function openLocation(
  { secrets }: Pick<WorkerContext, 'secrets'>,
  location: Vault['location'],
): StorageLocation {
  if (location.kind === 'DIRECTORY') return location
  const { sealedSecretAccessKey, ...bucket } = location
  return { ...bucket, secretAccessKey: secrets.open(sealedSecretAccessKey) }
}

/** The container that a job writes into, its account, and the rules of that as they are now. */
export async function containerOf({ database }: WorkerContext, containerId: string): Promise<ContainerContext> {
  return present(await findContainer(database, containerId), 'The container')
}

function idsOf(id: string | null): string[] {
  return id === null ? [] : [id]
}

function present<T>(found: T | undefined, what: string): T {
  if (found === undefined) throw new WorkFailed('GONE', `${what} that this job is about was deleted.`)
  return found
}
