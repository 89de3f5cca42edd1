import { rename } from 'node:fs/promises'
import { join } from 'node:path'
import { and, asc, eq } from 'drizzle-orm'
import type { Cluster } from '../../src/cluster/start.ts'
import type { Database } from '../../src/database/connect.ts'
import { jobs } from '../../src/database/tables/job.ts'
import { vaults } from '../../src/database/tables/vault.ts'
import { backUpNow } from '../../src/instance/back-up-now.ts'
import type { JobRow } from '../../src/job/states.ts'
import { usualRetentionLimits } from '../../src/policy/check-rules.ts'
import type { RecoveryPoint } from '../../src/recovery-point/recovery-point.ts'
import { headerKey, initialiseVault, manifestKey } from '../../src/storage/vault-layout.ts'
import { createVault } from '../../src/vault/create.ts'
import { type SetVaultReplica, setVaultReplica } from '../../src/vault/set-replica.ts'
import type { Vault } from '../../src/vault/vault.ts'
import { storageOf } from '../../src/worker/subjects.ts'
import { day, type Life, type PointParts, startLife } from './life.ts'
import { findRecoveryPointsOf } from './points.ts'
import { actor, endOf, type Protected, pathOf, protect, type Service } from './protected-server.ts'
import { waitFor } from './wait-for.ts'

/** A protected server whose vault names a replica, in a directory that nothing has been written to yet. */
export interface Replicated extends Protected {
  replica: Vault
  replicaPath: string
}

/** Protects a server in a new vault that names another new one as its replica. */
export async function protectTwice(
  service: Service,
  source: Cluster,
  folder: string,
  rule: Partial<SetVaultReplica> & { replicaFolder?: string } = {},
): Promise<Replicated> {
  const made = await protect(service, source, folder)
  const { replicaFolder = folder, ...rest } = rule
  const replica = await addReplicaVault(service, replicaFolder)
  await nameReplica(service.database, { vaultId: made.vault.id, replicaId: replica.id, ...rest })
  return { ...made, replica, replicaPath: pathOf(replica) }
}

/** A second vault in a directory of its own. */
export async function addReplicaVault(
  { database, secrets }: Pick<Service, 'database' | 'secrets'>,
  folder: string,
): Promise<Vault> {
  return createVault(database, {
    name: `elsewhere ${crypto.randomUUID()}`,
    location: { kind: 'DIRECTORY', path: join(folder, 'elsewhere') },
    secrets,
    actor,
    now: new Date(),
  })
}

/** Has a vault name a replica, by the usual limits. */
export async function nameReplica(
  database: Database,
  rule: Partial<SetVaultReplica> & Pick<SetVaultReplica, 'vaultId'>,
): Promise<Vault> {
  const asked = { limits: usualRetentionLimits, dryRun: false, actor, now: new Date(), ...rule }
  return (await setVaultReplica(database, asked)).vault
}

/** Backs up once; answers the point. Throws what the job said when it fails. */
export async function backUp(service: Service, instanceId: string): Promise<RecoveryPoint> {
  const job = await backUpNow(service.database, { instanceId, actor, now: new Date() })
  const ended = await service.ended(job.id)
  const point = (await findRecoveryPointsOf(service.database, instanceId)).find(({ jobId }) => jobId === job.id)
  if (ended.error || !point) throw new Error(JSON.stringify(ended.error))
  return point
}

/** The jobs that copy a point, oldest first. */
export async function copyJobsOf(database: Database, pointId: string): Promise<JobRow[]> {
  return database
    .select()
    .from(jobs)
    .where(and(eq(jobs.operation, 'COPY'), eq(jobs.recoveryPointId, pointId)))
    .orderBy(asc(jobs.createdAt), asc(jobs.id))
}

/** The first copy job of a point at its end, whatever it is. */
export async function copied(database: Database, pointId: string): Promise<JobRow> {
  const job = await waitFor('a job that copies', async () => (await copyJobsOf(database, pointId))[0])
  return endOf(database, job.id)
}

/** The copies that an instance has, newest first. */
export async function copiesOf(database: Database, instanceId: string): Promise<RecoveryPoint[]> {
  return (await findRecoveryPointsOf(database, instanceId)).filter(({ copyOfId }) => copyOfId !== null)
}

/** Takes the disk of a directory vault away. */
export async function loseDisk(path: string): Promise<void> {
  await rename(path, `${path}.lost`)
}

/** The life of an instance whose vault names a replica: its copies are small files there. */
export interface ReplicatedLife extends Life {
  replica: Vault
  replicaPath: string
  /** A copy of a point in the replica, made when that was: its row and its folder. */
  addCopy: (original: RecoveryPoint, parts?: PointParts) => Promise<RecoveryPoint>
}

/** As startLife, with a replica that is set up and has nothing in it. */
export async function startReplicatedLife(
  at: { databaseUrl: string; folder: string },
  options: Parameters<typeof startLife>[1] = {},
): Promise<ReplicatedLife> {
  const life = await startLife(at, options)
  const { service, database, clock } = life
  const replica = await addReplicaVault(service, at.folder)
  await nameReplica(database, { vaultId: life.vault.id, replicaId: replica.id, now: clock.now })
  const storage = storageOf(service.context, replica)
  await initialiseVault(storage, { vaultId: replica.id, recipient: replica.recipient, now: clock.now })
  const capabilities = await storage.probe()
  await database.update(vaults).set({ capabilities, expiryShareLimitPercent: 100 }).where(eq(vaults.id, replica.id))
  return {
    ...life,
    replica: { ...replica, capabilities },
    replicaPath: pathOf(replica),
    async addCopy(original, parts = {}) {
      const ageDays = (clock.now.getTime() - original.createdAt.getTime()) / day
      const { id, expiresAt } = original
      const facts = {
        copyOfId: id,
        copiedAt: clock.now,
        vaultId: replica.id,
        ...(parts.keptDays === undefined && { expiresAt }),
      }
      const copy = await life.addPoint(ageDays, { isWithoutBytes: true, ...facts, ...parts })
      for (const key of [`${copy.prefix}0001.dump.age`, manifestKey(copy.prefix), headerKey(copy.prefix)]) {
        await storage.write(key, async (sink) => void sink.end('0123456789'))
      }
      return copy
    },
  }
}
