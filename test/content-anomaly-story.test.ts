import { randomUUID } from 'node:crypto'
import { eq, inArray } from 'drizzle-orm'
import { describe, expect } from 'vitest'
import type { Database } from '../src/database/connect.ts'
import { auditRecords } from '../src/database/tables/audit.ts'
import { jobs } from '../src/database/tables/job.ts'
import { notifications } from '../src/database/tables/notification.ts'
import { policyVersions } from '../src/database/tables/policy.ts'
import { recoveryPoints } from '../src/database/tables/recovery-point.ts'
import { acknowledgeContentAnomaly, NothingToAcknowledge } from '../src/instance/anomaly/acknowledge.ts'
import { approveExpiry, ContentAnomalyNotAcknowledged } from '../src/instance/expiry/approve-expiry.ts'
import { beginExpiry } from '../src/instance/expiry/begin-expiry.ts'
import { findKeptBecause } from '../src/instance/expiry/find-kept-because.ts'
import { markExpired } from '../src/instance/expiry/mark-expired.ts'
import { recordExpiry } from '../src/instance/expiry/record-expiry.ts'
import { lockInstance, recordBackup } from '../src/instance/record/record-backup.ts'
import { beginSweep } from '../src/recovery-point/begin-sweep.ts'
import { findRecoveryPoints } from '../src/recovery-point/find.ts'
import { recordRecoveryPoint } from '../src/recovery-point/record.ts'
import type { RecoveryPoint } from '../src/recovery-point/recovery-point.ts'
import { decideRetention } from '../src/retention/decide-retention.ts'
import { addLife, instanceOf, refusalOf } from './kit/lifecycle.ts'
import { test } from './kit/test.ts'

const day = 86_400_000
const start = Date.parse('2026-03-01T02:00:00Z')
const dayOf = (days: number) => new Date(start + days * day)

/** One night's backup of a shop with so many rows: recorded as the worker records it. */
async function backUp(database: Database, instanceId: string, days: number, rowCount: number): Promise<RecoveryPoint> {
  const [createdAt, jobId] = [dayOf(days), randomUUID()]
  const job = {
    id: jobId,
    operation: 'BACKUP',
    status: 'COMPLETED',
    trigger: 'SCHEDULE',
    input: {},
    instanceId,
  } as const
  await database.insert(jobs).values({ ...job, maxAttempts: 3, runAt: createdAt, createdAt, createdBy: 'tester' })
  const id = randomUUID()
  await database.transaction(async (tx) => {
    const locked = await lockInstance(tx, instanceId)
    const { instance, policy } = locked
    const point = await recordRecoveryPoint(tx, {
      id,
      instanceId,
      vaultId: instance.vaultId,
      jobId,
      prefix: `points/${instanceId}/${jobId}.1/`,
      retention: decideRetention(policy.rules, { createdAt, lastTagged: {}, requested: 'DEFAULT' }),
      isTagRequested: false,
      policyName: policy.name,
      policyVersion: 1,
      pointInTime: createdAt,
      createdAt,
      provenAt: createdAt,
      manifestSha256: '0'.repeat(64),
      serverVersionNumber: 150_006,
      toolMajor: 15,
      sourceBytes: 10_000_000,
      storedBytes: 1_000,
      recipient: 'age1none',
      databases: [{ name: 'shop', sourceBytes: 10_000_000, storedBytes: 1_000, tableCount: 5, rowCount }],
    })
    await recordBackup(tx, { ...locked, point, now: createdAt })
  })
  const [recorded] = await findRecoveryPoints(database, [id])
  if (!recorded) throw new Error('The point was not recorded.')
  return recorded
}

/** What one expiry run marks and sweeps that day; the ids of what is gone then. */
async function expire(database: Database, instanceId: string, days: number): Promise<string[]> {
  const now = dayOf(days)
  const { marked } = await beginExpiry(database, { instanceId, markAtMost: 1_000, now })
  const gone: string[] = []
  for (const recoveryPointId of marked) {
    const decision = await beginSweep(database, { recoveryPointId, instanceId, now })
    if (decision.kind === 'SWEEP') gone.push(recoveryPointId)
  }
  await database.delete(recoveryPoints).where(inArray(recoveryPoints.id, gone))
  return gone
}

async function pointsOf(database: Database, instanceId: string): Promise<RecoveryPoint[]> {
  return database
    .select()
    .from(recoveryPoints)
    .where(eq(recoveryPoints.instanceId, instanceId))
    .orderBy(recoveryPoints.createdAt)
}

/** An instance after thirty nights in which all went well; the first points are about to expire. */
async function afterAMonth(database: Database): Promise<{ instanceId: string; good: string[] }> {
  const { id: instanceId } = await addLife(database, { points: [] })
  const good: string[] = []
  for (let night = 0; night < 30; night++) good.push((await backUp(database, instanceId, night, 10_000 + night)).id)
  return { instanceId, good }
}

const acknowledge = { recoveryPointId: null, comment: 'The orders were archived.', dryRun: false, actor: 'operator' }

describe('a DELETE without WHERE that nobody notices', () => {
  test('costs none of the good points, however long it goes on, until somebody says that it was meant', async ({
    database,
  }) => {
    const { instanceId, good } = await afterAMonth(database)
    const gone: string[] = []
    for (let night = 30; night < 80; night++) {
      const { id } = await backUp(database, instanceId, night, 0)
      gone.push(...(await expire(database, instanceId, night)))
      if (night === 30)
        expect((await pointsOf(database, instanceId)).at(-1)?.anomalies).toEqual([
          { kind: 'ROWS_FELL', database: 'shop', before: 10_029, after: 0 },
        ])
      const kept = await findKeptBecause(database, { pointIds: [good[0] ?? '', id], now: dayOf(night) })
      for (const because of kept.values()) expect(because).toContain('CONTENT_ANOMALY')
    }
    expect(gone).toEqual([])
    expect((await pointsOf(database, instanceId)).map(({ id }) => id)).toEqual(expect.arrayContaining(good))
    // Told once for each point, and each of them is compared with the last good one.
    const told = await database.select().from(notifications).where(eq(notifications.kind, 'CONTENT_ANOMALY'))
    expect(told).toHaveLength(50)
    expect((await instanceOf(database, instanceId)).contentAnomalySince).toEqual(dayOf(30))

    const now = dayOf(80)
    const { instance, points } = await acknowledgeContentAnomaly(database, { instanceId, ...acknowledge, now })
    expect(points).toHaveLength(50)
    expect(instance).toMatchObject({ contentAnomalySince: null })
    // So many at once are asked for, as ever.
    expect(await expire(database, instanceId, 80)).toEqual([])
    await approveExpiry(database, { instanceId, dryRun: false, actor: 'operator', now })
    expect((await expire(database, instanceId, 80)).toSorted()).toEqual(expect.arrayContaining(good))
    const left = await pointsOf(database, instanceId)
    expect(left.every(({ expiresAt }) => expiresAt > now)).toBe(true)
    expect((await backUp(database, instanceId, 81, 0)).anomalies).toEqual([])
    expect((await instanceOf(database, instanceId)).contentAnomalySince).toBeNull()
  })

  test('goes on holding expiry when the rows are back', async ({ database }) => {
    const { instanceId } = await afterAMonth(database)
    await backUp(database, instanceId, 30, 0)
    await backUp(database, instanceId, 31, 10_000)
    const [before, after] = (await pointsOf(database, instanceId)).slice(-2)
    expect(before?.anomalies).toHaveLength(1)
    expect(after?.anomalies).toEqual([])
    expect(await expire(database, instanceId, 40)).toEqual([])
  })

  test('keeps a point that was chosen for removal, at every step up to the last', async ({ database }) => {
    const { instanceId, good } = await afterAMonth(database)
    const [first = '', second = ''] = good
    const now = dayOf(31.5)
    const { marked } = await beginExpiry(database, { instanceId, markAtMost: 1, now })
    expect(marked).toEqual([first, second])
    await backUp(database, instanceId, 31.6, 0)
    // The mark of the first was taken back; the second, which the run had planned, is not marked any more.
    expect((await pointsOf(database, instanceId))[0]).toMatchObject({ id: first, state: 'AVAILABLE', markedAt: null })
    expect(await markExpired(database, { instanceId, ids: marked, now })).toEqual({ count: 0, storedBytes: 0 })
    // One that was marked all the same is not swept.
    await database.update(recoveryPoints).set({ state: 'REMOVING', markedAt: now }).where(eq(recoveryPoints.id, first))
    expect(await beginSweep(database, { recoveryPointId: first, instanceId, now })).toEqual({
      kind: 'STAYS',
      because: ['CONTENT_ANOMALY'],
    })
  })

  test('is not asked for again and again by an expiry that may take nothing', async ({ database }) => {
    const { instanceId } = await afterAMonth(database)
    await backUp(database, instanceId, 30, 0)
    const run = { removed: { count: 0, storedBytes: 0 }, jobId: randomUUID(), removalGraceMs: 0 }
    await database.transaction((tx) => recordExpiry(tx, { instanceId, ...run, now: dayOf(50) }))
    expect((await instanceOf(database, instanceId)).expiryDueAt).toEqual(dayOf(57))
    await acknowledgeContentAnomaly(database, { instanceId, ...acknowledge, now: dayOf(51) })
    expect((await instanceOf(database, instanceId)).expiryDueAt?.getTime()).toBeLessThanOrEqual(dayOf(51).getTime())
  })

  test('cannot be approved away, but acknowledged', async ({ database }) => {
    const { instanceId } = await afterAMonth(database)
    // Too many are due at once: it asks.
    expect(await expire(database, instanceId, 55)).toEqual([])
    expect((await instanceOf(database, instanceId)).expiryBlockedAt).toEqual(dayOf(55))
    await backUp(database, instanceId, 56, 0)
    const approve = { instanceId, dryRun: false, actor: 'operator', now: dayOf(57) }
    expect(await refusalOf(approveExpiry(database, approve))).toBeInstanceOf(ContentAnomalyNotAcknowledged)
    expect(await expire(database, instanceId, 57)).toEqual([])
    // The question that was open before stays open meanwhile.
    expect((await instanceOf(database, instanceId)).expiryBlockedAt).toEqual(dayOf(55))
    await acknowledgeContentAnomaly(database, { instanceId, ...acknowledge, now: dayOf(57) })
    await approveExpiry(database, approve)
    expect((await expire(database, instanceId, 57)).length).toBeGreaterThan(20)
  })
})

describe('an acknowledgement', () => {
  test('says beforehand which points go by it, or are asked for, and changes nothing as a dry run', async ({
    database,
  }) => {
    const { instanceId, good } = await afterAMonth(database)
    await backUp(database, instanceId, 30, 0)
    const before = await instanceOf(database, instanceId)
    // On the 31st day the first point is past its end; on the 50th so many are that it is asked first.
    const few = { instanceId, ...acknowledge, dryRun: true, now: dayOf(30.5) }
    const { effects, points } = await acknowledgeContentAnomaly(database, few)
    expect(points).toHaveLength(1)
    expect(effects).toMatchObject({ removed: { ids: [good[0]] }, removedAt: few.now, awaitingApproval: { ids: [] } })
    expect(effects.removed.storedBytes).toBeGreaterThan(0)
    const many = await acknowledgeContentAnomaly(database, { ...few, now: dayOf(55) })
    expect(many.effects).toMatchObject({ removed: { ids: [] }, removedAt: null })
    expect(many.effects.awaitingApproval.ids.length).toBeGreaterThan(20)
    expect(await instanceOf(database, instanceId)).toEqual(before)
  })

  test('of one point leaves the others waiting, and says who and why', async ({ database }) => {
    const { instanceId } = await afterAMonth(database)
    const first = await backUp(database, instanceId, 30, 0)
    const second = await backUp(database, instanceId, 31, 0)
    const now = dayOf(32)
    const one = { instanceId, ...acknowledge, recoveryPointId: first.id, now }
    const { instance, points } = await acknowledgeContentAnomaly(database, one)
    expect(points).toMatchObject([{ id: first.id, anomalyAcknowledgedAt: now, anomalyAcknowledgedBy: 'operator' }])
    expect(instance.contentAnomalySince).toEqual(dayOf(30))
    expect(await refusalOf(acknowledgeContentAnomaly(database, one))).toBeInstanceOf(NothingToAcknowledge)
    await acknowledgeContentAnomaly(database, { ...one, recoveryPointId: second.id })
    expect((await instanceOf(database, instanceId)).contentAnomalySince).toBeNull()
    const [audited] = await database
      .select()
      .from(auditRecords)
      .where(eq(auditRecords.action, 'acknowledgeContentAnomaly'))
    expect(audited).toMatchObject({ actor: 'operator', reason: acknowledge.comment, detail: { recoveryPoints: 1 } })
  })

  test('of nothing is refused, and so is one without a word', async ({ database }) => {
    const { instanceId } = await afterAMonth(database)
    const now = dayOf(30)
    const asked = { instanceId, ...acknowledge, now }
    expect(await refusalOf(acknowledgeContentAnomaly(database, asked))).toBeInstanceOf(NothingToAcknowledge)
    await backUp(database, instanceId, 30, 0)
    expect(await refusalOf(acknowledgeContentAnomaly(database, { ...asked, comment: ' ' }))).toMatchObject({
      field: 'comment',
    })
  })
})

test('a first backup, and one under a policy whose gate is off, is no anomaly', async ({ database }) => {
  const { id: instanceId } = await addLife(database, { points: [] })
  expect((await backUp(database, instanceId, 0, 0)).anomalies).toEqual([])
  await backUp(database, instanceId, 1, 10_000)
  await database.update(policyVersions).set({ anomalyGate: null })
  await backUp(database, instanceId, 2, 0)
  expect((await instanceOf(database, instanceId)).contentAnomalySince).toBeNull()
})
