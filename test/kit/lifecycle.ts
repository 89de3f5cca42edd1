import { eq, sql } from 'drizzle-orm'
import type { Database } from '../../src/database/connect.ts'
import { backupInstances } from '../../src/database/tables/backup-instance.ts'
import { jobs } from '../../src/database/tables/job.ts'
import { recoveryPoints } from '../../src/database/tables/recovery-point.ts'
import { vaults } from '../../src/database/tables/vault.ts'
import { findInstances } from '../../src/instance/find.ts'
import type { BackupInstance, ProtectionState } from '../../src/instance/instance.ts'
import { nothingPlanned } from '../../src/instance/schedule/plan-next.ts'
import type { Schedule } from '../../src/policy/policy.ts'
import type { RecoveryPoint } from '../../src/recovery-point/recovery-point.ts'
import { addScheduled } from './schedule.ts'

// Instances anywhere in their life, as the operations leave them: nothing here runs a worker.

export const now = new Date('2026-03-01T12:00:00.000Z')
export const asked = { actor: 'tester', now, dryRun: false }

export function daysFromNow(days: number): Date {
  return new Date(now.getTime() + days * 86_400_000)
}

export interface PointSeed extends Partial<typeof recoveryPoints.$inferInsert> {
  madeDaysAgo: number
  /** Below zero: its time is over. */
  endsInDays: number
}

/** Seven weekly points, of which the oldest three are past their end. */
export const weekly: PointSeed[] = Array.from({ length: 7 }, (_, week) => ({
  madeDaysAgo: 50 - week * 7,
  endsInDays: week * 7 - 20,
  storedBytes: 100 + week,
}))

export interface LifeSeed {
  state?: ProtectionState
  schedule?: Schedule | null
  points?: readonly PointSeed[]
  vault?: Partial<typeof vaults.$inferInsert>
  instance?: Partial<typeof backupInstances.$inferInsert>
}

/** An instance in a state of its life, with points; newest last. */
export async function addLife(
  database: Database,
  { state = 'PROTECTION_CONFIGURED', points = weekly, vault, instance: columns, ...rest }: LifeSeed = {},
): Promise<BackupInstance> {
  const [added] = await addScheduled(database, { ...rest, plannedAt: daysFromNow(-60), state })
  if (!added) throw new Error('The instance was not added.')
  const isConfigured = state === 'PROTECTION_CONFIGURED'
  const isExpiring = isConfigured || state === 'BACKUP_SCHEDULES_SUSPENDED'
  if (vault) await database.update(vaults).set(vault).where(eq(vaults.id, added.vaultId))
  await addPoints(database, added, points)
  await database
    .update(backupInstances)
    .set({
      ...(isConfigured ? { nextNominalAt: daysFromNow(0.5), nextBackupAt: daysFromNow(0.5) } : nothingPlanned),
      ...(isExpiring && points.length > 0 && { expiryDueAt: sql`(select min(expires_at) from recovery_points)` }),
      ...(state === 'SOFT_DELETED' && { deletedAt: daysFromNow(-1), scheduledPurgeAt: daysFromNow(13) }),
      ...columns,
    })
    .where(eq(backupInstances.id, added.id))
  return instanceOf(database, added.id)
}

/** Whole points of an instance, in the order given, each with the completed job that made it. */
export async function addPoints(
  database: Database,
  { id: instanceId, vaultId }: BackupInstance,
  seeds: readonly PointSeed[],
): Promise<RecoveryPoint[]> {
  if (seeds.length === 0) return []
  const made = seeds.map(({ madeDaysAgo, endsInDays, ...columns }) => {
    const [jobId, createdAt] = [crypto.randomUUID(), daysFromNow(-madeDaysAgo)]
    const prefix = `points/${instanceId}/${jobId}.1/`
    return {
      ...whole,
      jobId,
      prefix,
      pointInTime: createdAt,
      createdAt,
      provenAt: createdAt,
      ...columns,
      expiresAt: daysFromNow(endsInDays),
    }
  })
  await database.insert(jobs).values(
    made.map(({ jobId, createdAt }) => ({
      id: jobId ?? crypto.randomUUID(),
      operation: 'BACKUP' as const,
      status: 'COMPLETED' as const,
      trigger: 'SCHEDULE' as const,
      input: {},
      instanceId,
      vaultId,
      maxAttempts: 3,
      runAt: createdAt,
      createdAt,
      createdBy: 'tester',
      endedAt: createdAt,
    })),
  )
  return database
    .insert(recoveryPoints)
    .values(made.map((point) => ({ id: crypto.randomUUID(), instanceId, vaultId, ...point })))
    .returning()
}

const whole = {
  state: 'AVAILABLE' as const,
  tag: 'DEFAULT' as const,
  policyName: 'policy',
  policyVersion: 1,
  proof: 'READ_BACK' as const,
  manifestSha256: '0'.repeat(64),
  serverVersionNumber: 150_006,
  toolMajor: 15,
  sourceBytes: 1,
  storedBytes: 1,
  databases: [{ name: 'shop', sourceBytes: 1, storedBytes: 1, tableCount: 1, rowCount: 1 }],
}

export async function instanceOf(database: Database, id: string): Promise<BackupInstance> {
  const [instance] = await findInstances(database, [id])
  if (!instance) throw new Error('There is no such instance.')
  return instance
}

const tables = [
  'backup_instances',
  'recovery_points',
  'jobs',
  'job_events',
  'scheduled_starts',
  'notifications',
  'audit_records',
  'postgres_servers',
  'vaults',
  'backup_policies',
]

/** Every row of every table that an operation may write, as text: equal dumps, nothing changed. */
export async function dumpOf(database: Database): Promise<string[]> {
  const rows = await Promise.all(
    tables.map((table) =>
      database.execute<{ row: string }>(
        sql`select ${table}::text || ' ' || to_jsonb(t)::text as row from ${sql.identifier(table)} t order by 1`,
      ),
    ),
  )
  return rows.flatMap((found) => found.map(({ row }) => row))
}

/** What an operation threw; fails when it did not. */
export async function refusalOf(work: Promise<unknown>): Promise<unknown> {
  return work.then(
    (answer) => {
      throw new Error(`It was not refused: ${JSON.stringify(answer)}`)
    },
    (cause: unknown) => cause,
  )
}
