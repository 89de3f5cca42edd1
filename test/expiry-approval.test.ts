import { eq } from 'drizzle-orm'
import { describe, expect } from 'vitest'
import { backupInstances } from '../src/database/tables/backup-instance.ts'
import { notifications } from '../src/database/tables/notification.ts'
import { approveExpiry } from '../src/instance/expiry/approve-expiry.ts'
import { beginExpiry } from '../src/instance/expiry/begin-expiry.ts'
import { findKeptBecause } from '../src/instance/expiry/find-kept-because.ts'
import { recordExpiry } from '../src/instance/expiry/record-expiry.ts'
import { enqueueJob } from '../src/job/enqueue.ts'
import { holdRecoveryPoint } from '../src/recovery-point/hold.ts'
import { recordProof } from '../src/recovery-point/record-proof.ts'
import type { RecoveryPoint } from '../src/recovery-point/recovery-point.ts'
import { releaseRecoveryPoint } from '../src/recovery-point/release.ts'
import { day, type Life, startLife } from './kit/life.ts'
import { actor } from './kit/protected-server.ts'
import { test } from './kit/test.ts'

const bytes = { isWithoutBytes: true }

/** Points of these ages in days, each kept for 30; the oldest last. */
async function addPoints(life: Life, ages: readonly number[]): Promise<RecoveryPoint[]> {
  const points = []
  for (const age of ages) points.push(await life.addPoint(age, bytes))
  return points
}

/** What an expiry run does as far as it marks: its beginning and its end. */
async function run({ database, instance, clock: { now } }: Life) {
  const begun = await beginExpiry(database, { instanceId: instance.id, markAtMost: 1_000, now })
  const over = { removed: { count: 0, storedBytes: 0 }, jobId: crypto.randomUUID(), removalGraceMs: day, now }
  await database.transaction((tx) => recordExpiry(tx, { instanceId: instance.id, ...over }))
  return begun
}

function approve({ database, instance, clock }: Life) {
  return approveExpiry(database, { instanceId: instance.id, dryRun: false, actor, now: clock.now })
}

function hold({ database, clock }: Life, recoveryPointId: string, until: Date | null = null) {
  return holdRecoveryPoint(database, { recoveryPointId, reason: 'An audit.', until, actor, now: clock.now })
}

function release({ database, clock }: Life, recoveryPointId: string) {
  return releaseRecoveryPoint(database, { recoveryPointId, actor, now: clock.now })
}

async function verifyLater({ database, instance, clock }: Life, recoveryPointId: string): Promise<void> {
  const subject = { instanceId: instance.id, recoveryPointId }
  const job = { operation: 'VERIFY', trigger: 'USER', input: {}, subject, actor, now: clock.now } as const
  await database.transaction((tx) => enqueueJob(tx, { ...job, runAt: new Date(Date.now() + day) }))
}

const idsOf = (points: readonly RecoveryPoint[]) => points.map(({ id }) => id).toSorted()
const asksFor = ({ database }: Life) => database.$count(notifications, eq(notifications.kind, 'EXPIRY_NEEDS_APPROVAL'))

const ways: { way: string; change: (life: Life, asked: readonly RecoveryPoint[]) => Promise<unknown> }[] = [
  { way: 'one of them is to be verified', change: (life, [one]) => verifyLater(life, one?.id ?? '') },
  { way: 'one of them is put on hold', change: (life, [one]) => hold(life, one?.id ?? '') },
  { way: 'all of them are held a while', change: (life, asked) => holdAndRelease(life, asked) },
  { way: 'two more backups are made', change: (life) => addPoints(life, [0, 0]) },
]

async function holdAndRelease(life: Life, asked: readonly RecoveryPoint[]): Promise<void> {
  for (const { id } of asked) await hold(life, id)
  await run(life)
  for (const { id } of asked.slice(1)) await release(life, id)
}

describe('an expiry that has asked', () => {
  test.for(ways)('waits for its answer when $way', async ({ change }, { databaseUrl, folder }) => {
    await using life = await startLife({ databaseUrl, folder }, { expiryShareLimitPercent: 50 })
    await addPoints(life, [1, 2, 3, 4])
    const asked = await addPoints(life, [40, 41, 42, 43, 44, 45])
    expect(await run(life)).toMatchObject({ marked: [], blockedCount: 6, question: 'NEW' })
    const blockedAt = life.clock.now
    await change(life, asked)
    life.clock.now = new Date(blockedAt.getTime() + day / 2)
    expect(await run(life)).toMatchObject({ marked: [], question: 'OPEN' })
    expect(await life.instanceNow()).toMatchObject({ expiryBlockedAt: blockedAt, expiryBlockedCount: 6 })
    expect(await asksFor(life)).toBe(1)
  })

  test('asks again when too many later points join those that wait', async ({ databaseUrl, folder }) => {
    await using life = await startLife({ databaseUrl, folder }, { expiryShareLimitPercent: 20 })
    await addPoints(life, [1])
    const asked = await addPoints(life, [29, 29, 40, 41, 42])
    await run(life)
    life.clock.now = new Date(life.clock.now.getTime() + 2 * day)
    expect(await run(life)).toMatchObject({ marked: [], blockedCount: 5, question: 'NEW' })
    expect(await life.instanceNow()).toMatchObject({ expiryBlockedAt: life.clock.now, expiryBlockedCount: 5 })
    expect(await asksFor(life)).toBe(2)
    expect((await approve(life)).effects.removed.ids.toSorted()).toEqual(idsOf(asked))
  })
})

describe('an approval', () => {
  test('lists what goes now, with a hold that has ended since it was asked for', async ({ databaseUrl, folder }) => {
    await using life = await startLife({ databaseUrl, folder }, { expiryShareLimitPercent: 20 })
    await addPoints(life, [1])
    const asked = await addPoints(life, [40, 41, 42])
    const [held, kept] = asked
    await hold(life, held?.id ?? '', new Date(life.clock.now.getTime() + day))
    expect((await run(life)).blockedCount).toBe(2)
    life.clock.now = new Date(life.clock.now.getTime() + 2 * day)
    await hold(life, kept?.id ?? '')
    const listed = (await approve(life)).effects.removed.ids.toSorted()
    expect(listed).toEqual(idsOf(asked.filter((point) => point !== kept)))
    expect((await run(life)).marked.toSorted()).toEqual(listed)
  })

  test('ends with the run that it was for: what was on hold then is asked for again', async ({
    databaseUrl,
    folder,
  }) => {
    await using life = await startLife({ databaseUrl, folder }, { expiryShareLimitPercent: 20 })
    await addPoints(life, [1, 2, 3, 4])
    const held = await addPoints(life, [43, 44])
    await addPoints(life, [40, 41, 42])
    for (const { id } of held) await hold(life, id)
    await run(life)
    await approve(life)
    expect((await life.instanceNow())?.expiryApprovedThrough).not.toBeNull()
    expect((await run(life)).marked).toHaveLength(3)
    expect((await life.instanceNow())?.expiryApprovedThrough).toBeNull()
    for (const { id } of held) await release(life, id)
    expect(await run(life)).toMatchObject({ marked: [], blockedCount: 2 })
  })

  test('that came while a run was at its end is not lost', async ({ databaseUrl, folder }) => {
    await using life = await startLife({ databaseUrl, folder }, { expiryShareLimitPercent: 20 })
    await addPoints(life, [1])
    const asked = await addPoints(life, [40, 41, 42])
    const { database, instance, clock } = life
    await beginExpiry(database, { instanceId: instance.id, markAtMost: 1_000, now: clock.now })
    await approve(life)
    const over = { removed: { count: 0, storedBytes: 0 }, jobId: crypto.randomUUID(), removalGraceMs: day }
    await database.transaction((tx) => recordExpiry(tx, { instanceId: instance.id, ...over, now: clock.now }))
    expect((await life.instanceNow())?.expiryDueAt).toEqual(clock.now)
    expect((await run(life)).marked.toSorted()).toEqual(idsOf(asked))
  })
})

describe('an instance of which nothing is known to be restorable', () => {
  test('loses no point for its age until one is', async ({ databaseUrl, folder }) => {
    await using life = await startLife({ databaseUrl, folder })
    const damaged = { ...bytes, state: 'SUSPECT' as const, damage: ['The disk does not answer.'] }
    const points = []
    for (const age of [40, 41, 42]) points.push(await life.addPoint(age, damaged))
    await life.database.update(backupInstances).set({ expiryDueAt: life.clock.now })
    expect((await run(life)).marked).toEqual([])
    expect((await life.instanceNow())?.expiryDueAt?.getTime()).toBeGreaterThan(life.clock.now.getTime())
    const why = await findKeptBecause(life.database, { pointIds: points.map(({ id }) => id), now: life.clock.now })
    expect(points.map(({ id }) => why.get(id))).toEqual([
      ['NEWEST_RESTORABLE', 'NOTHING_RESTORABLE'],
      ['NOTHING_RESTORABLE'],
      ['NOTHING_RESTORABLE'],
    ])
    const [newest, ...others] = points
    const proof = { recoveryPointId: newest?.id ?? '', proof: 'READ_BACK' as const, now: life.clock.now }
    await life.database.transaction((tx) => recordProof(tx, proof))
    expect((await life.instanceNow())?.expiryDueAt?.getTime()).toBeLessThanOrEqual(life.clock.now.getTime())
    expect((await run(life)).marked.toSorted()).toEqual(idsOf(others))
  })
})
