import type { Cluster } from '../../src/cluster/start.ts'
import { configureProtection } from '../../src/instance/configure-protection.ts'
import type { BackupInstance } from '../../src/instance/instance.ts'
import type { JobRow } from '../../src/job/states.ts'
import { createVault } from '../../src/vault/create.ts'
import type { Vault } from '../../src/vault/vault.ts'
import { actor, register, type Service } from './protected-server.ts'
import { type S3Server, secretAccessKey } from './s3-server.ts'

/** The folder of the bucket that the vault is in. */
export const bucketPrefix = 'holdfast/main/'

/** What lies in a folder of the vault, unfinished uploads too, by its key in the bucket. */
export function keysBelow(store: S3Server, folder: string): string[] {
  return store.everything().filter((key) => key.startsWith(bucketPrefix + folder))
}

/** A server that is protected in a vault in a bucket. */
export interface InBucket {
  vault: Vault
  instance: BackupInstance
  configuration: JobRow
}

/** Protects a server in a new vault in a store's bucket, as far as the configuration job gets. */
export async function protectInBucket(
  service: Service,
  store: S3Server,
  source: Cluster,
  secret = secretAccessKey,
): Promise<InBucket> {
  const { database, secrets } = service
  const vault = await createVault(database, {
    name: 'cloud',
    location: { ...store.location({ prefix: bucketPrefix }), secretAccessKey: secret },
    softDeleteDays: 0,
    secrets,
    actor,
    now: new Date(),
  })
  const server = await register(service, source)
  const { instance, job } = await configureProtection(database, {
    serverId: server.id,
    vaultId: vault.id,
    policyId: null,
    name: 'shop',
    actor,
    now: new Date(),
  })
  return { vault, instance, configuration: await service.ended(job.id) }
}
