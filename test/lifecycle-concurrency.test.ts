import { eq, sql } from 'drizzle-orm'
import { expect } from 'vitest'
import type { Database } from '../src/database/connect.ts'
import { auditRecords } from '../src/database/tables/audit.ts'
import { backupInstances } from '../src/database/tables/backup-instance.ts'
import { changePolicy } from '../src/instance/change-policy.ts'
import { deleteBackupInstance } from '../src/instance/delete-backup-instance.ts'
import type { BackupInstance } from '../src/instance/instance.ts'
import { lockInstance, recordBackup } from '../src/instance/record/record-backup.ts'
import { resumeProtection } from '../src/instance/resume-protection.ts'
import { startDueBackups } from '../src/instance/schedule/start-due-backups.ts'
import { OperationNotAllowed } from '../src/instance/states.ts'
import { stopProtection } from '../src/instance/stop-protection.ts'
import { type Holder, heldBy } from '../src/job/change.ts'
import { type Job, pageJobs } from '../src/job/find.ts'
import { claimJobs } from '../src/job/runner/claim.ts'
import { settle } from '../src/job/settle/settle.ts'
import { usualRetentionLimits } from '../src/policy/check-rules.ts'
import { createPolicy } from '../src/policy/create.ts'
import { revisePolicy } from '../src/policy/revise.ts'
import { recordRecoveryPoint } from '../src/recovery-point/record.ts'
import { restoreAsFiles } from '../src/restore/as-files.ts'
import { addLife, asked, daysFromNow, instanceOf, now } from './kit/lifecycle.ts'
import { findRecoveryPointsOf } from './kit/points.ts'
import { enqueue, jobOf } from './kit/runner.ts'
import { addScheduled } from './kit/schedule.ts'
import { test } from './kit/test.ts'
import { waitFor } from './kit/wait-for.ts'

const noWhy = { reason: null, comment: null }

/** Resolves when so many sessions of this database wait for a lock. */
async function waiters(database: Database, count: number): Promise<void> {
  await waitFor(`${count} sessions that wait for a lock`, async () => {
    const [row] = await database.execute<{ count: number }>(
      sql`select count(*)::int as count from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`,
    )
    return (row?.count ?? 0) >= count
  })
}

/** Holds an instance's row until it is told to let go, while others come to wait for it. */
async function holdInstance(database: Database, instanceId: string) {
  const held = Promise.withResolvers<void>()
  const letGo = Promise.withResolvers<void>()
  const end = database.transaction(async (tx) => {
    await lockInstance(tx, instanceId)
    held.resolve()
    await letGo.promise
  })
  await held.promise
  return async () => {
    letGo.resolve()
    await end
  }
}

/** A job of an instance that a worker performs. */
async function running(database: Database, instance: BackupInstance, job: Parameters<typeof enqueue>[1]): Promise<Job> {
  const { id } = await enqueue(database, { subject: { instanceId: instance.id, vaultId: instance.vaultId }, ...job })
  const operations = ['BACKUP', 'RESTORE'] as const
  await claimJobs(database, { workerId: 'worker', operations, room: 1, laneLimits: {}, leaseMs: 60_000 })
  return jobOf(database, id)
}

async function settleBackup(database: Database, { id: jobId, attempt }: Job, { id, vaultId }: BackupInstance) {
  const holder: Holder = { jobId, attempt, workerId: 'worker' }
  return database.transaction((tx) =>
    settle(tx, heldBy(holder), {
      kind: 'completed',
      record: async (inner) => {
        const locked = await lockInstance(inner, id)
        const point = await recordRecoveryPoint(inner, {
          id: crypto.randomUUID(),
          instanceId: id,
          vaultId,
          jobId,
          prefix: `points/${id}/${jobId}.1/`,
          retention: { tag: 'DEFAULT', expiresAt: daysFromNow(30) },
          isTagRequested: false,
          policyName: locked.policy.name,
          policyVersion: locked.policy.version,
          pointInTime: now,
          createdAt: now,
          provenAt: now,
          recipient: 'age1vault',
          manifestSha256: '0'.repeat(64),
          serverVersionNumber: 150_006,
          toolMajor: 15,
          sourceBytes: 1,
          storedBytes: 1,
          databases: [],
        })
        await recordBackup(inner, { ...locked, point, now })
      },
    }),
  )
}

test.for(['stop first', 'backup first'])(
  'a backup that settles while protection stops is recorded: %s',
  async (order, { database }) => {
    const instance = await addLife(database, { points: [] })
    const job = await running(database, instance, { trigger: 'SCHEDULE', exclusiveKey: `backup:${instance.id}` })
    const letGo = await holdInstance(database, instance.id)
    const works = {
      stop: () => stopProtection(database, { instanceId: instance.id, data: 'RETAIN_FOREVER', ...noWhy, ...asked }),
      backup: () => settleBackup(database, job, instance),
    }
    const [one, other] = order === 'stop first' ? [works.stop, works.backup] : [works.backup, works.stop]
    const first = one()
    await waiters(database, 1)
    const second = other()
    await waiters(database, 2)
    await letGo()
    await Promise.all([first, second])
    expect((await jobOf(database, job.id)).status).toBe('COMPLETED')
    expect(await findRecoveryPointsOf(database, instance.id)).toMatchObject([{ jobId: job.id, state: 'AVAILABLE' }])
    expect(await instanceOf(database, instance.id)).toMatchObject({
      state: 'PROTECTION_STOPPED',
      nextBackupAt: null,
      overdueAt: null,
      // A week after the stop or the backup, whichever came last.
      expiryDueAt: expect.any(Date),
    })
  },
)

test('a deletion leaves a restore that reads alone, and none begins after it', async ({ database }) => {
  const instance = await addLife(database)
  const [newest] = await findRecoveryPointsOf(database, instance.id)
  const recoveryPointId = newest?.id ?? ''
  const subject = { instanceId: instance.id, recoveryPointId }
  const reading = await running(database, instance, { operation: 'RESTORE', subject })
  const restores = Array.from({ length: 6 }, (_, place) =>
    restoreAsFiles(database, {
      recoveryPointId,
      target: { kind: 'DIRECTORY', path: `/restored/${place}` },
      databases: null,
      ...asked,
    }),
  )
  const [deleted, ...begun] = await Promise.allSettled([
    deleteBackupInstance(database, { instanceId: instance.id, confirmName: instance.name, ...noWhy, ...asked }),
    ...restores,
  ])
  expect(deleted.status).toBe('fulfilled')
  for (const each of begun) if (each.status === 'rejected') expect(each.reason).toBeInstanceOf(OperationNotAllowed)
  const { rows } = await pageJobs(database, { filter: { operations: ['RESTORE'] }, page: { first: 20 } })
  expect(rows.filter(({ status }) => status !== 'CANCELLED').map(({ id }) => id)).toEqual([reading.id])
  expect((await jobOf(database, reading.id)).status).toBe('IN_PROGRESS')
  expect(await findRecoveryPointsOf(database, instance.id)).toHaveLength(7)
})

test('a deletion asks a running backup to stop', async ({ database }) => {
  const instance = await addLife(database)
  const backup = { trigger: 'SCHEDULE', exclusiveKey: `backup:${instance.id}` } as const
  const job = await running(database, instance, backup)
  const { cancelledJobIds } = await deleteBackupInstance(database, {
    instanceId: instance.id,
    confirmName: instance.name,
    ...noWhy,
    ...asked,
  })
  expect(cancelledJobIds).toEqual([job.id])
  expect((await jobOf(database, job.id)).status).toBe('CANCELLING')
})

test('a scheduled start and a change of policy at once make one backup, by whichever came first', async ({
  database,
}) => {
  const due = await addScheduled(database, { count: 12, plannedAt: daysFromNow(-1), jitter: 0 })
  const rules = { defaultRetention: 'P90D', schedule: { kind: 'DAILY' as const, times: ['02:00'], spreadMinutes: 0 } }
  const policy = await createPolicy(database, { name: 'another', ...rules, ...asked })
  const start = () => startDueBackups(database, { now, atMost: 100 })
  await Promise.all([
    start(),
    ...due.map(({ id }) => changePolicy(database, { instanceId: id, policyId: policy.id, ...asked })),
    start(),
  ])
  await start()
  for (const { id } of due) {
    expect(await instanceOf(database, id)).toMatchObject({
      policyId: policy.id,
      nextNominalAt: new Date('2026-03-02T02:00:00.000Z'),
    })
    const { rows } = await pageJobs(database, { filter: { instanceId: id }, page: { first: 5 } })
    expect(rows).toMatchObject([{ operation: 'BACKUP', scheduledFor: new Date('2026-03-01T02:00:00.000Z') }])
  }
})

test('no scheduled backup is left waiting of an instance that stops while it starts', async ({ database }) => {
  const due = await addScheduled(database, { count: 12, plannedAt: daysFromNow(-1), jitter: 0 })
  await Promise.all([
    startDueBackups(database, { now, atMost: 100 }),
    ...due.map(({ id }) =>
      stopProtection(database, { instanceId: id, data: 'RETAIN_AS_PER_POLICY', ...noWhy, ...asked }),
    ),
  ])
  await startDueBackups(database, { now, atMost: 100 })
  const { rows } = await pageJobs(database, { filter: { trigger: 'SCHEDULE' }, page: { first: 100 } })
  expect(rows.filter(({ status }) => status !== 'CANCELLED')).toEqual([])
})

test('protection that resumes while its policy is revised follows the new version', async ({ database }) => {
  const schedule = { kind: 'DAILY' as const, times: ['15:00'], spreadMinutes: 0 }
  for (const round of [0, 1, 2, 3, 4, 5]) {
    const { id: instanceId, policyId } = await addLife(database, { state: 'PROTECTION_STOPPED', points: [] })
    const resume = () => resumeProtection(database, { instanceId, ...asked })
    const revise = () =>
      revisePolicy(database, {
        policyId,
        expectedVersion: 1,
        changes: { schedule },
        limits: usualRetentionLimits,
        ...asked,
      })
    await Promise.all(round % 2 === 0 ? [resume(), revise()] : [revise(), resume()])
    const next = new Date('2026-03-01T15:00:00.000Z')
    expect(await instanceOf(database, instanceId)).toMatchObject({
      state: 'PROTECTION_CONFIGURED',
      policyVersion: 2,
      nextNominalAt: next,
      nextBackupAt: next,
    })
  }
})

test('operations at once come one after another: the audit log is one walk through the states', async ({
  database,
}) => {
  const instance = await addLife(database)
  const instanceId = instance.id
  const each = Array.from({ length: 4 }, () => [
    stopProtection(database, { instanceId, data: 'RETAIN_FOREVER', ...noWhy, ...asked }),
    resumeProtection(database, { instanceId, ...asked }),
    stopProtection(database, { instanceId, data: 'RETAIN_AS_PER_POLICY', ...noWhy, ...asked }),
  ]).flat()
  const ended = await Promise.allSettled(each)
  for (const one of ended) if (one.status === 'rejected') expect(one.reason).toBeInstanceOf(OperationNotAllowed)
  const steps = await database.select().from(auditRecords).where(eq(auditRecords.subjectId, instanceId))
  expect(steps).toHaveLength(ended.filter(({ status }) => status === 'fulfilled').length)
  const [{ state } = { state: '' }] = await database
    .select()
    .from(backupInstances)
    .where(eq(backupInstances.id, instanceId))
  expect(steps.length).toBeGreaterThan(0)
  expect(endOfWalk('PROTECTION_CONFIGURED', steps)).toBe(state)
})

/** Where a walk that takes every step once, in some order, ends; undefined when there is none. */
function endOfWalk(start: string, steps: readonly { before: unknown; after: unknown }[]): string | undefined {
  const balance = new Map([[start, 1]])
  for (const { before, after } of steps) {
    const [from, to] = [stateOf(before), stateOf(after)]
    balance.set(from, (balance.get(from) ?? 0) - 1)
    balance.set(to, (balance.get(to) ?? 0) + 1)
  }
  const open = [...balance].filter(([, count]) => count !== 0)
  return open.length === 1 && open[0]?.[1] === 1 ? open[0][0] : undefined
}

function stateOf(facts: unknown): string {
  return typeof facts === 'object' && facts !== null && 'state' in facts ? String(facts.state) : ''
}
