import { eq, sql } from 'drizzle-orm'
import { describe, expect } from 'vitest'
import { connectDatabase, type Database } from '../src/database/connect.ts'
import { jobs } from '../src/database/tables/job.ts'
import { recoveryPoints } from '../src/database/tables/recovery-point.ts'
import { vaults } from '../src/database/tables/vault.ts'
import type { BackupInstance } from '../src/instance/instance.ts'
import { longestUnread } from '../src/recovery-point/verification/find-candidates.ts'
import { startDueScrub } from '../src/recovery-point/verification/start-due-scrubs.ts'
import { addLife, daysFromNow, now } from './kit/lifecycle.ts'
import { test } from './kit/test.ts'
import { day, endAll, pointsMade, waiting } from './kit/verification.ts'

const ages = (count: number, from: number) =>
  pointsMade(...Array.from({ length: count }, (_, index) => from - index / 100))

describe('the scrub', () => {
  test('reads every point of a vault again within its period, the one that waits longest first, evenly', async ({
    database,
  }) => {
    await addLife(database, { points: ages(20, 60), vault: { scrubDays: 10 } })
    const begunAt: number[] = []
    for (let at = now; at < daysFromNow(10); at = await nextLook(database)) {
      const started = (await startDueScrub(database, { now: at })) ?? 0
      for (let each = 0; each < started; each++) begunAt.push((at.getTime() - now.getTime()) / day)
      if (started > 0) await endAll(database, 'PROVEN', at)
      if (begunAt.length === 20) break
    }
    const points = await database.select().from(recoveryPoints).orderBy(recoveryPoints.createdAt)
    const read = points.map(({ lastReadAt }) => lastReadAt?.getTime() ?? 0)
    // All of them were late: they are done within what a period leaves, one and a half days, in the order of their age.
    expect(begunAt[19]).toBeLessThan(1.6)
    expect(begunAt[10]).toBeGreaterThan(0.6)
    expect(Math.min(...read)).toBeGreaterThanOrEqual(now.getTime())
    const made = await database.select().from(jobs).where(eq(jobs.operation, 'VERIFY')).orderBy(jobs.createdAt)
    expect(made.slice(0, 20).map(({ recoveryPointId }) => recoveryPointId)).toEqual(points.map(({ id }) => id))
    expect(made.every(({ input }) => JSON.stringify(input) === '{"level":"READ_BACK"}')).toBe(true)
  })

  test('counts a decoding as a read, and goes on where protection was stopped', async ({ database }) => {
    await addLife(database, { points: pointsMade(60), state: 'PROTECTION_STOPPED' })
    await database.update(recoveryPoints).set({ decodedAt: daysFromNow(-3) })
    expect(await startDueScrub(database, { now })).toBe(0)
    await database.update(recoveryPoints).set({ decodedAt: daysFromNow(-29) })
    expect(await startDueScrub(database, { now: daysFromNow(0.1) })).toBe(1)
  })

  test('leaves out what is deleted or on its way out, and a vault that has it off', async ({ database }) => {
    await addLife(database, { points: pointsMade(60), state: 'SOFT_DELETED' })
    await addLife(database, { points: pointsMade(60).map((seed) => ({ ...seed, state: 'REMOVING', markedAt: now })) })
    await addLife(database, { points: pointsMade(60), vault: { scrubDays: 0 } })
    for (let vault = 0; vault < 3; vault++) expect(await startDueScrub(database, { now })).toBe(0)
    expect(await startDueScrub(database, { now })).toBeUndefined()
    expect(await waiting(database)).toEqual([])
  })

  test('does not try all points of a vault that cannot be read', async ({ database }) => {
    await addLife(database, { points: ages(200, 60), vault: { scrubDays: 1 } })
    for (let at = now; at < daysFromNow(1); at = await nextLook(database)) {
      if ((await startDueScrub(database, { now: at })) !== 0) await endAll(database, 'FAILED', at)
    }
    const tried = await database.$count(jobs, eq(jobs.operation, 'VERIFY'))
    expect(tried).toBeGreaterThan(3)
    expect(tried).toBeLessThan(15)
  })

  test('begins each once, whoever looks', async ({ database, databaseUrl }) => {
    for (let index = 0; index < 10; index++) await addLife(database, { points: pointsMade(60) })
    const connections = Array.from({ length: 4 }, () => connectDatabase(databaseUrl, { maxConnections: 1 }))
    const lookOn = async (own: Database): Promise<number> => {
      const started = await startDueScrub(own, { now })
      return started === undefined ? 0 : started + (await lookOn(own))
    }
    const started = await Promise.all(connections.map((each) => lookOn(each.database)))
    await Promise.all(connections.map((each) => each[Symbol.asyncDispose]()))
    expect(started.reduce((sum, each) => sum + each, 0)).toBe(10)
    expect(new Set((await waiting(database)).map(({ pointId }) => pointId)).size).toBe(10)
  })

  test('looks at a hundred thousand points of a vault in a moment', async ({ database }) => {
    const instance = await addLife(database, { points: [] })
    await addMany(database, instance, 100_000)
    const begunMs = performance.now()
    expect(await startDueScrub(database, { now })).toBe(4)
    expect(performance.now() - begunMs).toBeLessThan(2_000)
    const plan = await planOf(database, instance)
    expect(plan).toContain('recovery_points_by_read')
    expect(plan).not.toContain('Seq Scan on recovery_points')
    expect(plan).not.toContain('Sort')
  })
})

/** When the clock looks at the one vault next. */
async function nextLook(database: Database): Promise<Date> {
  const [vault] = await database.select({ at: vaults.scrubDueAt }).from(vaults)
  if (!vault?.at) throw new Error('The vault was not looked at.')
  return vault.at
}

/** Points that were all read long ago, each with the job that made it. */
async function addMany(database: Database, { id, vaultId }: BackupInstance, count: number): Promise<void> {
  await database.execute(sql`
    with made as (
      insert into jobs (id, operation, status, trigger, input, max_attempts, run_at, created_at, created_by)
      select gen_random_uuid(), 'BACKUP', 'COMPLETED', 'SCHEDULE', '{}', 3, at, at, 'tester'
      from generate_series(1, ${count}) number, lateral (select ${daysFromNow(-90).toISOString()}::timestamptz + number * interval '1 second') as made (at)
      returning id, created_at
    )
    insert into recovery_points (id, instance_id, vault_id, job_id, prefix, state, tag, policy_name, policy_version, point_in_time,
      created_at, expires_at, proof, proven_at, manifest_sha256, server_version_number, tool_major, source_bytes, stored_bytes, databases)
    select gen_random_uuid(), ${id}, ${vaultId}, id, id::text, 'AVAILABLE', 'DEFAULT', 'policy', 1, created_at,
      created_at, 'infinity', 'READ_BACK', created_at, '0', 150006, 15, 1, 1, '[]'
    from made`)
  await database.execute(sql`analyze recovery_points`)
}

/** How the database finds the points of a vault that were read longest ago. */
async function planOf(database: Database, { vaultId }: BackupInstance): Promise<string> {
  const rows = await database.execute(sql`explain ${longestUnread(database, { vaultId, now, atMost: 8 })}`)
  return rows.map((row) => Object.values(row).join('')).join('\n')
}
