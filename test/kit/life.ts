import { randomUUID } from 'node:crypto'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { eq } from 'drizzle-orm'
import { backupInstances } from '../../src/database/tables/backup-instance.ts'
import { jobs } from '../../src/database/tables/job.ts'
import { recoveryPoints } from '../../src/database/tables/recovery-point.ts'
import { vaults } from '../../src/database/tables/vault.ts'
import { enqueueExpiry } from '../../src/instance/expiry/enqueue-expiry.ts'
import { findInstances } from '../../src/instance/find.ts'
import type { BackupInstance } from '../../src/instance/instance.ts'
import type { JobRow } from '../../src/job/states.ts'
import { findBuiltInPolicy } from '../../src/policy/find.ts'
import { findRecoveryPoints } from '../../src/recovery-point/find.ts'
import type { RecoveryPoint } from '../../src/recovery-point/recovery-point.ts'
import type { Storage } from '../../src/storage/contract.ts'
import { headerKey, initialiseVault, manifestKey, pointPrefix } from '../../src/storage/vault-layout.ts'
import type { Vault } from '../../src/vault/vault.ts'
import { storageOf } from '../../src/worker/subjects.ts'
import { findRecoveryPointsOf } from './points.ts'
import {
  actor,
  addVault,
  pathOf,
  register,
  type Service,
  type ServiceOptions,
  startService,
} from './protected-server.ts'

export const day = 86_400_000

/** A protected instance whose points are small files that lie in a real vault, with the service and its clock. */
export interface Life extends AsyncDisposable {
  service: Service
  database: Service['database']
  vault: Vault
  vaultPath: string
  storage: Storage
  instance: BackupInstance
  /** What the service takes for the present; tests move it. */
  clock: { now: Date }
  /** A point made so many days ago that was kept for so many: its row and its folder. */
  addPoint: (ageDays: number, parts?: PointParts) => Promise<RecoveryPoint>
  /** Runs one expiry job to its end. */
  expire: () => Promise<JobRow>
  enqueueExpiry: () => Promise<JobRow>
  /** Ids of the points that are there, newest first. */
  pointIds: () => Promise<string[]>
  pointNow: (point: RecoveryPoint) => Promise<RecoveryPoint | undefined>
  instanceNow: () => Promise<BackupInstance | undefined>
  /** The files of a point's folder. */
  filesOf: (point: RecoveryPoint) => Promise<string[]>
}

export type PointParts = Partial<typeof recoveryPoints.$inferInsert> & { keptDays?: number; isWithoutBytes?: boolean }

/** A server that nobody dials. */
const nowhere = { host: '127.0.0.1', port: 1, superuser: 'nobody', password: 'nothing' }

/** Begins one at noon of 1 March 2026; by its vault's rule any share of points may expire at once unless said otherwise. */
export async function startLife(
  at: { databaseUrl: string; folder: string },
  { expiryShareLimitPercent = 100, ...options }: ServiceOptions & { expiryShareLimitPercent?: number } = {},
): Promise<Life> {
  const clock = { now: new Date('2026-03-01T12:00:00.000Z') }
  const service = await startService(at, { now: () => clock.now, ...options })
  const { database } = service
  const server = await register(service, nowhere)
  const vault = await addVault(service, at.folder)
  await database.update(vaults).set({ expiryShareLimitPercent }).where(eq(vaults.id, vault.id))
  const storage = storageOf(service.context, vault)
  await initialiseVault(storage, { vaultId: vault.id, recipient: vault.recipient, now: clock.now })
  const policy = await findBuiltInPolicy(database)
  const [instance] = await database
    .insert(backupInstances)
    .values({
      id: randomUUID(),
      name: 'shop',
      serverId: server.id,
      vaultId: vault.id,
      policyId: policy?.id ?? '',
      policyVersion: 1,
      state: 'PROTECTION_CONFIGURED',
      stateSince: clock.now,
      createdAt: clock.now,
    })
    .returning()
  if (!instance) throw new Error('The instance was not added.')
  const enqueue = () =>
    database.transaction((tx) => enqueueExpiry(tx, { instance, trigger: 'SYSTEM', actor, now: clock.now }))
  return {
    service,
    database,
    vault,
    vaultPath: pathOf(vault),
    storage,
    instance,
    clock,
    addPoint: (ageDays, parts = {}) => addPoint({ service, storage, instance, clock }, ageDays, parts),
    enqueueExpiry: enqueue,
    expire: async () => service.ended((await enqueue()).id),
    pointIds: async () => (await findRecoveryPointsOf(database, instance.id)).map(({ id }) => id),
    pointNow: async ({ id }) => (await findRecoveryPoints(database, [id]))[0],
    instanceNow: async () => (await findInstances(database, [instance.id]))[0],
    filesOf: ({ prefix }) => readdir(join(pathOf(vault), prefix)).catch(() => []),
    [Symbol.asyncDispose]: () => service[Symbol.asyncDispose](),
  }
}

async function addPoint(
  { service: { database }, storage, instance, clock }: Pick<Life, 'service' | 'storage' | 'instance' | 'clock'>,
  ageDays: number,
  { keptDays = 30, isWithoutBytes = false, ...parts }: PointParts,
): Promise<RecoveryPoint> {
  const createdAt = new Date(clock.now.getTime() - ageDays * day)
  const jobId = randomUUID()
  const prefix = pointPrefix(instance.id, jobId, 1)
  await database.insert(jobs).values({
    id: jobId,
    operation: 'BACKUP',
    status: 'COMPLETED',
    trigger: 'SCHEDULE',
    input: {},
    instanceId: instance.id,
    maxAttempts: 3,
    runAt: createdAt,
    createdAt,
    createdBy: actor,
  })
  if (!isWithoutBytes) {
    for (const key of [`${prefix}0001.dump.age`, manifestKey(prefix), headerKey(prefix)]) {
      await storage.write(key, async (sink) => void sink.end('0123456789'))
    }
  }
  const [added] = await database
    .insert(recoveryPoints)
    .values({
      id: randomUUID(),
      instanceId: instance.id,
      vaultId: instance.vaultId,
      jobId,
      prefix,
      state: 'AVAILABLE',
      tag: 'DEFAULT',
      policyName: 'On demand, 30 days',
      policyVersion: 1,
      pointInTime: createdAt,
      createdAt,
      expiresAt: new Date(createdAt.getTime() + keptDays * day),
      proof: 'READ_BACK',
      provenAt: createdAt,
      manifestSha256: '0'.repeat(64),
      serverVersionNumber: 150_006,
      toolMajor: 15,
      sourceBytes: 100,
      storedBytes: 20,
      databases: [],
      ...parts,
    })
    .returning()
  if (!added) throw new Error('The point was not added.')
  return added
}
