import { randomUUID } from 'node:crypto'
import { join } from 'node:path'
import { asc, eq } from 'drizzle-orm'
import fc from 'fast-check'
import { describe, expect } from 'vitest'
import { backupInstances } from '../src/database/tables/backup-instance.ts'
import { jobs } from '../src/database/tables/job.ts'
import { recoveryPoints } from '../src/database/tables/recovery-point.ts'
import { vaults } from '../src/database/tables/vault.ts'
import { beginExpiry } from '../src/instance/expiry/begin-expiry.ts'
import { findKeptBecause } from '../src/instance/expiry/find-kept-because.ts'
import { markExpired } from '../src/instance/expiry/mark-expired.ts'
import { planExpiry } from '../src/instance/expiry/plan-expiry.ts'
import type { BackupInstance, ProtectionState } from '../src/instance/instance.ts'
import { enqueueJob } from '../src/job/enqueue.ts'
import { beginSweep, findPointsToSweep } from '../src/recovery-point/begin-sweep.ts'
import { recordRemoval } from '../src/recovery-point/record-removal.ts'
import type { RecoveryPoint } from '../src/recovery-point/recovery-point.ts'
import { day, type Life, startLife } from './kit/life.ts'
import { actor, addVault } from './kit/protected-server.ts'
import { test } from './kit/test.ts'

const proofs = ['WRITTEN', 'READ_BACK', 'DECODED', 'RESTORED'] as const

const points = fc.array(
  fc.record({
    ageDays: fc.integer({ min: 0, max: 60 }),
    keptDays: fc.integer({ min: 1, max: 40 }),
    proof: fc.constantFrom(...proofs),
    condition: fc.constantFrom('GOOD', 'GOOD', 'GOOD', 'SUSPECT', 'MARKED', 'MARKED_SUSPECT'),
    hold: fc.constantFrom('NONE', 'NONE', 'NONE', 'ENDLESS', 'UNTIL_LATER', 'ENDED'),
    isCopy: fc.oneof({ weight: 2, arbitrary: fc.constant(false) }, { weight: 1, arbitrary: fc.constant(true) }),
    isRead: fc.oneof({ weight: 5, arbitrary: fc.constant(false) }, { weight: 1, arbitrary: fc.constant(true) }),
  }),
  { maxLength: 10 },
)

const situations = fc.record({
  points,
  state: fc.constantFrom<ProtectionState>(
    'PROTECTION_CONFIGURED',
    'PROTECTION_CONFIGURED',
    'BACKUP_SCHEDULES_SUSPENDED',
    'PROTECTION_STOPPED',
    'SOFT_DELETED',
  ),
  shareLimitPercent: fc.constantFrom(20, 50, 100, 100),
  replicaShareLimitPercent: fc.constantFrom(20, 50, 100, 100),
  approvedAgeDays: fc.option(fc.integer({ min: 0, max: 30 })),
  blockedAgeDays: fc.option(fc.integer({ min: 0, max: 30 })),
})

type Situation = typeof situations extends fc.Arbitrary<infer Value> ? Value : never

type Answers = Pick<BackupInstance, 'expiryApprovedThrough' | 'expiryBlockedAt'>

/** A second vault, in which nothing lies; points of the instance may be said to be copies there. */
async function addReplica({ service }: Life, folder: string): Promise<string> {
  return (await addVault(service, join(folder, 'elsewhere'))).id
}

/** Brings the instance into the situation; answers its rows and which of them are read. */
async function arrange(life: Life, replicaId: string, { points: wanted, state, ...rest }: Situation) {
  const { shareLimitPercent, replicaShareLimitPercent, ...ages } = rest
  const { database, clock, instance, vault } = life
  const now = clock.now
  await database.delete(recoveryPoints)
  await database.update(jobs).set({ status: 'CANCELLED' }).where(eq(jobs.status, 'QUEUED'))
  await database.update(vaults).set({ expiryShareLimitPercent: shareLimitPercent }).where(eq(vaults.id, vault.id))
  await database
    .update(vaults)
    .set({ expiryShareLimitPercent: replicaShareLimitPercent })
    .where(eq(vaults.id, replicaId))
  const daysAgo = (days: number | null) => (days === null ? null : new Date(now.getTime() - days * day))
  const answers: Answers = {
    expiryApprovedThrough: daysAgo(ages.approvedAgeDays),
    expiryBlockedAt: daysAgo(ages.blockedAgeDays),
  }
  await database
    .update(backupInstances)
    .set({ state, ...answers, expiryBlockedCount: null })
    .where(eq(backupInstances.id, instance.id))
  const read = new Set<string>()
  for (const { ageDays, keptDays, proof, condition, hold, isCopy, isRead } of wanted) {
    const isMarked = condition.startsWith('MARKED')
    const { id } = await life.addPoint(ageDays, {
      keptDays,
      proof,
      isWithoutBytes: true,
      ...(isCopy && { vaultId: replicaId, copyOfId: randomUUID(), copiedAt: now }),
      state: isMarked ? 'REMOVING' : condition === 'SUSPECT' ? 'SUSPECT' : 'AVAILABLE',
      damage: condition.endsWith('SUSPECT') ? ['It is damaged.'] : [],
      ...(isMarked && { markedAt: now, markReason: 'Its time was over.' }),
      ...(hold !== 'NONE' && { heldAt: now, heldBy: actor, holdReason: 'For the auditors.' }),
      ...(hold === 'UNTIL_LATER' && { holdUntil: new Date(now.getTime() + day) }),
      ...(hold === 'ENDED' && { holdUntil: now }),
    })
    if (!isRead || isMarked) continue
    read.add(id)
    const subject = { instanceId: instance.id, recoveryPointId: id }
    const verify = { operation: 'VERIFY', trigger: 'USER', input: {}, subject, actor, now } as const
    await database.transaction((tx) => enqueueJob(tx, { ...verify, runAt: new Date(Date.now() + day) }))
  }
  return { rows: await rowsOf(life), read, answers }
}

function rowsOf({ database }: Life) {
  return database.select().from(recoveryPoints).orderBy(asc(recoveryPoints.createdAt), asc(recoveryPoints.id))
}

/** The last of the rows by an order given as text and number parts; written apart from the code it is compared with. */
function lastBy(rows: readonly RecoveryPoint[], rank: (row: RecoveryPoint) => (number | string)[]) {
  return rows
    .toSorted((one, other) => {
      const [a, b] = [rank(one), rank(other)]
      const index = a.findIndex((part, at) => part !== b[at])
      return index === -1 ? 0 : (a[index] ?? 0) < (b[index] ?? 0) ? -1 : 1
    })
    .at(-1)
}

/** Which points go, told naively from the whole table: vault by vault, but for the question, which is one. */
function oracle(
  rows: readonly RecoveryPoint[],
  read: Set<string>,
  situation: Situation,
  { expiryApprovedThrough: approved, expiryBlockedAt: blocked }: Answers,
  now: Date,
) {
  if (situation.state !== 'PROTECTION_CONFIGURED' && situation.state !== 'BACKUP_SCHEDULES_SUSPENDED') return []
  const isApproved = (row: RecoveryPoint) => approved !== null && row.expiresAt <= approved
  const isWaiting = (row: RecoveryPoint) => !isApproved(row) && blocked !== null && row.expiresAt <= blocked
  const free: RecoveryPoint[] = []
  let isTooMuch = false
  for (const isCopy of [false, true]) {
    const here = rows.filter(({ copyOfId }) => (copyOfId !== null) === isCopy)
    const good = here.filter(({ state }) => state === 'AVAILABLE')
    const newest = lastBy(good, (row) => [Number(row.createdAt), row.id])
    const best = lastBy(good, (row) => [proofs.indexOf(row.proof), Number(row.createdAt), row.id])
    if (good.length === 0) continue
    const untouchable = new Set([newest?.id, best?.id])
    const unmarked = here.filter(({ markedAt }) => markedAt === null)
    const freeHere = unmarked.filter(
      (row) =>
        row.expiresAt <= now &&
        !untouchable.has(row.id) &&
        !read.has(row.id) &&
        (row.heldAt === null || (row.holdUntil !== null && row.holdUntil <= now)),
    )
    const asking = freeHere.filter((row) => !isApproved(row) && !isWaiting(row))
    const limit = isCopy ? situation.replicaShareLimitPercent : situation.shareLimitPercent
    if (asking.length > 1 && asking.length / unmarked.length > limit / 100) isTooMuch = true
    free.push(...freeHere)
  }
  return free
    .filter((row) => isApproved(row) || (!isTooMuch && !isWaiting(row)))
    .map(({ id }) => id)
    .toSorted()
}

describe('expiry in the database', { timeout: 60_000 }, () => {
  test('does what its plan says, and both are what a naive reading of the rules says', async ({
    databaseUrl,
    folder,
  }) => {
    await using life = await startLife({ databaseUrl, folder })
    const { database, clock, instance } = life
    const { now } = clock
    const replicaId = await addReplica(life, folder)
    await fc.assert(
      fc.asyncProperty(situations, async (situation) => {
        const { rows, read, answers } = await arrange(life, replicaId, situation)
        const expected = oracle(rows, read, situation, answers, now)
        const plan = await planExpiry(database, {
          instance: { ...instance, state: situation.state, ...answers },
          now,
        })
        expect(plan.marked.toSorted()).toEqual(expected)
        const whyBefore = await findKeptBecause(database, { pointIds: rows.map(({ id }) => id), now })
        const begun = await beginExpiry(database, { instanceId: instance.id, markAtMost: 0, now })
        expect(begun).toEqual({ ...plan, markedCount: 0 })
        const why = await findKeptBecause(database, { pointIds: rows.map(({ id }) => id), now })
        expect(whyBefore).toEqual(why)
        for (const row of rows) {
          const isGoing = row.state === 'REMOVING' || expected.includes(row.id)
          expect(why.get(row.id)?.length === 0).toBe(isGoing)
        }
        const marked = await markExpired(database, { instanceId: instance.id, ids: begun.marked, now })
        const after = await rowsOf(life)
        const newlyMarked = after.filter(({ id, state }) => state === 'REMOVING' && !wasMarked(rows, id))
        expect(newlyMarked.map(({ id }) => id).toSorted()).toEqual(expected)
        expect(marked.count).toBe(expected.length)
        expect(await markExpired(database, { instanceId: instance.id, ids: begun.marked, now })).toEqual({
          count: 0,
          storedBytes: 0,
        })
        const again = await beginExpiry(database, { instanceId: instance.id, markAtMost: 0, now })
        expect(again.marked).toEqual([])
      }),
      { numRuns: 60 },
    )
  })

  test('sweeps no point that would leave less to restore than taking back its mark', async ({
    databaseUrl,
    folder,
  }) => {
    await using life = await startLife({ databaseUrl, folder })
    const { database, clock, instance } = life
    const { now } = clock
    const replicaId = await addReplica(life, folder)
    await fc.assert(
      fc.asyncProperty(situations, async (situation) => {
        const { rows } = await arrange(life, replicaId, situation)
        const isGood = ({ damage, state }: RecoveryPoint) =>
          state === 'AVAILABLE' || (state === 'REMOVING' && !damage.length)
        const best = (some: readonly RecoveryPoint[]) => Math.max(-1, ...some.map(({ proof }) => proofs.indexOf(proof)))
        for (const vaultId of [instance.vaultId, replicaId]) {
          const due = { instanceId: instance.id, vaultId, markedUntil: now, now, except: [], limit: 100 }
          for (const { id } of await findPointsToSweep(database, due)) {
            const decision = await beginSweep(database, { recoveryPointId: id, instanceId: instance.id, now })
            if (decision.kind === 'STAYS') continue
            await recordRemoval(database, { recoveryPointId: id, instanceName: 'shop', jobId: randomUUID(), now })
          }
        }
        const after = await rowsOf(life)
        expect(after.filter(({ state }) => state === 'REMOVING')).toEqual([])
        for (const vaultId of [instance.vaultId, replicaId]) {
          const inVault = (row: RecoveryPoint) => row.vaultId === vaultId
          const [left, had] = [after.filter(inVault), rows.filter(inVault)]
          expect(left.length > 0).toBe(had.length > 0)
          expect(best(left.filter(isGood))).toBe(best(had.filter(isGood)))
          const newest = (some: readonly RecoveryPoint[]) => some.filter(isGood).at(-1)?.id
          expect(newest(left)).toBe(newest(had))
        }
        const isExpiring =
          situation.state === 'PROTECTION_CONFIGURED' || situation.state === 'BACKUP_SCHEDULES_SUSPENDED'
        if (!isExpiring || !rows.some(isGood)) expect(after).toHaveLength(rows.length)
      }),
      { numRuns: 40 },
    )
  })
})

function wasMarked(rows: readonly RecoveryPoint[], id: string): boolean {
  return rows.find((row) => row.id === id)?.markedAt !== null
}
