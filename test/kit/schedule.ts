import { eq, sql } from 'drizzle-orm'
import type { Database } from '../../src/database/connect.ts'
import { backupInstances, scheduledStarts } from '../../src/database/tables/backup-instance.ts'
import { jobs } from '../../src/database/tables/job.ts'
import { backupPolicies, policyVersions } from '../../src/database/tables/policy.ts'
import { recoveryPoints } from '../../src/database/tables/recovery-point.ts'
import { postgresServers } from '../../src/database/tables/server.ts'
import { vaults } from '../../src/database/tables/vault.ts'
import type { BackupInstance, ProtectionState } from '../../src/instance/instance.ts'
import { planNext } from '../../src/instance/schedule/plan-next.ts'
import type { JobRow } from '../../src/job/states.ts'
import type { PolicyVersion, Schedule } from '../../src/policy/policy.ts'
import type { RecoveryPoint } from '../../src/recovery-point/recovery-point.ts'
import { enqueue } from './runner.ts'

// Rows as the operations leave them, for tests of what the clock makes of them: nothing here runs a worker.

export interface ScheduledParts {
  /** How many instances, all under one policy; 1 unless given. */
  count?: number
  schedule?: Schedule | null
  timeZone?: string
  /** The moment at which they were planned: each waits for its first start after it. */
  plannedAt: Date
  state?: ProtectionState
  /** The place of each within the spread; by chance when left out. */
  jitter?: number
}

/** Every day at 02:00, all at once. */
export const nightly: Schedule = { kind: 'DAILY', times: ['02:00'], spreadMinutes: 0 }

/** Adds instances whose schedule has been planned, in one vault, each of a server of its own; in order of their names. */
export async function addScheduled(
  database: Database,
  {
    count = 1,
    schedule = nightly,
    timeZone = 'UTC',
    plannedAt,
    state = 'PROTECTION_CONFIGURED',
    jitter,
  }: ScheduledParts,
): Promise<BackupInstance[]> {
  const [vaultId, policyId, createdAt] = [crypto.randomUUID(), crypto.randomUUID(), plannedAt]
  const rules = await addRules(database, { policyId, schedule, timeZone, createdAt })
  await database.insert(vaults).values({
    id: vaultId,
    name: `vault ${vaultId}`,
    kind: 'DIRECTORY',
    location: { kind: 'DIRECTORY', path: `/backups/${vaultId}` },
    locationKey: vaultId,
    recipient: 'age1',
    sealedIdentity: 'sealed',
    createdAt,
  })
  const each = Array.from({ length: count }, (_, index) => {
    const id = crypto.randomUUID()
    const place = jitter ?? Math.random()
    const isPlanned = state === 'PROTECTION_CONFIGURED'
    return {
      id,
      name: `${vaultId} ${String(index).padStart(5, '0')}`,
      serverId: id,
      vaultId,
      policyId,
      policyVersion: 1,
      state,
      stateSince: createdAt,
      createdAt,
      jitter: place,
      ...(isPlanned && planNext(rules, { jitter: place, after: plannedAt, provenAt: null })),
    }
  })
  await database.insert(postgresServers).values(
    each.map(({ id, name }) => ({
      id,
      name,
      host: 'db.example.com',
      port: 5432,
      username: 'backup',
      sealedPassword: 'sealed',
      passwordSetAt: createdAt,
      maintenanceDatabase: 'postgres',
      tlsMode: 'REQUIRE' as const,
      createdAt,
    })),
  )
  return database.insert(backupInstances).values(each).returning()
}

async function addRules(
  database: Database,
  { policyId, schedule, timeZone, createdAt }: Pick<PolicyVersion, 'policyId' | 'schedule' | 'timeZone' | 'createdAt'>,
): Promise<PolicyVersion> {
  await database.insert(backupPolicies).values({ id: policyId, name: `policy ${policyId}`, createdAt })
  const version = { policyId, version: 1, timeZone, schedule, createdAt, createdBy: 'tester' }
  const [rules] = await database
    .insert(policyVersions)
    .values({ ...version, defaultRetention: 'P30D', retentionRules: [] })
    .returning()
  if (!rules) throw new Error('The rules were not added.')
  return rules
}

/** A whole point of an instance, with the completed job that made it. */
export async function addScheduledPoint(
  database: Database,
  instance: BackupInstance | undefined,
  { createdAt, tag = 'DEFAULT' }: { createdAt: Date; tag?: RecoveryPoint['tag'] },
): Promise<RecoveryPoint> {
  if (!instance) throw new Error('There is no instance to add a point to.')
  const { id: instanceId, vaultId } = instance
  const job = await enqueue(database, { subject: { instanceId, vaultId }, now: createdAt })
  await database.update(jobs).set({ status: 'COMPLETED', endedAt: createdAt }).where(eq(jobs.id, job.id))
  const [point] = await database
    .insert(recoveryPoints)
    .values({
      id: crypto.randomUUID(),
      instanceId,
      vaultId,
      jobId: job.id,
      prefix: `points/${instanceId}/${job.id}.1/`,
      state: 'AVAILABLE',
      tag,
      policyName: 'policy',
      policyVersion: 1,
      pointInTime: createdAt,
      createdAt,
      expiresAt: new Date(createdAt.getTime() + 30 * 86_400_000),
      proof: 'READ_BACK',
      provenAt: createdAt,
      manifestSha256: '0'.repeat(64),
      serverVersionNumber: 150_006,
      toolMajor: 15,
      sourceBytes: 1,
      storedBytes: 1,
      databases: [],
    })
    .returning()
  if (!point) throw new Error('The point was not added.')
  return point
}

/** What was decided of the starts of an instance, oldest first. */
export async function startsOf(database: Database, instanceId: string) {
  return database
    .select()
    .from(scheduledStarts)
    .where(eq(scheduledStarts.instanceId, instanceId))
    .orderBy(scheduledStarts.nominalAt)
}

/** The scheduled backups of an instance, oldest first. */
export async function scheduledJobsOf(database: Database, instanceId: string): Promise<JobRow[]> {
  return database.select().from(jobs).where(eq(jobs.instanceId, instanceId)).orderBy(jobs.scheduledFor)
}

/** An instance as it is now. */
export async function instanceNow(database: Database, instanceId: string): Promise<BackupInstance> {
  const [instance] = await database.select().from(backupInstances).where(eq(backupInstances.id, instanceId))
  if (!instance) throw new Error(`There is no instance ${instanceId}.`)
  return instance
}

/** Ends all pending jobs as if they had been performed, so that the next start is not skipped. */
export async function endPendingJobs(database: Database): Promise<void> {
  await database
    .update(jobs)
    .set({ status: 'COMPLETED', endedAt: new Date() })
    .where(sql`status in ('QUEUED', 'IN_PROGRESS', 'CANCELLING')`)
}
