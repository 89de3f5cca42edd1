import { sql } from 'drizzle-orm'
import { describe, expect } from 'vitest'
import { notifications } from '../src/database/tables/notification.ts'
import { approveExpiry } from '../src/instance/expiry/approve-expiry.ts'
import { stopProtection } from '../src/instance/stop-protection.ts'
import { holdRecoveryPoint } from '../src/recovery-point/hold.ts'
import { day, type Life, startLife } from './kit/life.ts'
import { actor } from './kit/protected-server.ts'
import { test } from './kit/test.ts'

function later(life: Life, days: number): void {
  life.clock.now = new Date(life.clock.now.getTime() + days * day)
}

async function approvalsAsked({ database }: Life): Promise<number> {
  return database.$count(notifications, sql`kind = 'EXPIRY_NEEDS_APPROVAL'`)
}

describe('a point on hold', () => {
  test('outlives its end, and goes when the hold ends by itself', async ({ databaseUrl, folder }) => {
    await using life = await startLife({ databaseUrl, folder })
    const held = await life.addPoint(40)
    await life.addPoint(1)
    const until = new Date(life.clock.now.getTime() + 3 * day)
    const hold = { recoveryPointId: held.id, reason: 'Until the audit is over.', actor }
    await holdRecoveryPoint(life.database, { ...hold, until, now: life.clock.now })
    await life.expire()
    expect(await life.pointNow(held)).toMatchObject({ state: 'AVAILABLE' })
    expect((await life.instanceNow())?.expiryDueAt).toEqual(until)
    life.clock.now = until
    await life.expire()
    expect(await life.pointNow(held)).toBeUndefined()
    expect(await life.filesOf(held)).toEqual([])
  })

  test('is taken back from a removal that was planned, and swept never', async ({ databaseUrl, folder }) => {
    await using life = await startLife({ databaseUrl, folder })
    life.service.context.removalGraceMs = day
    const old = await life.addPoint(40)
    await life.addPoint(1)
    await life.expire()
    expect(await life.pointNow(old)).toMatchObject({ state: 'REMOVING' })
    const hold = { recoveryPointId: old.id, reason: 'It is needed after all.', until: null, actor }
    expect(await holdRecoveryPoint(life.database, { ...hold, now: life.clock.now })).toMatchObject({
      state: 'AVAILABLE',
      markedAt: null,
    })
    later(life, 365)
    await life.expire()
    expect(await life.pointNow(old)).toMatchObject({ state: 'AVAILABLE' })
    expect(await life.filesOf(old)).toHaveLength(3)
    expect((await life.instanceNow())?.expiryDueAt).toEqual(new Date(life.clock.now.getTime() + 7 * day))
  })
})

describe('an expiry run that would remove too great a share', () => {
  test('removes none and asks once; what is approved goes, all else is weighed anew', async ({
    databaseUrl,
    folder,
  }) => {
    await using life = await startLife({ databaseUrl, folder }, { expiryShareLimitPercent: 50 })
    const expired = [await life.addPoint(42), await life.addPoint(41), await life.addPoint(40)]
    const soon = [await life.addPoint(29), await life.addPoint(28)]
    const newest = await life.addPoint(1)
    for (const age of [43, 44]) expired.push(await life.addPoint(age))
    const blocked = await life.expire()
    expect(blocked).toMatchObject({ status: 'COMPLETED_WITH_WARNINGS' })
    expect(blocked.warnings[0]).toBe('5 points have expired, too great a share of all: they wait for approveExpiry.')
    expect(await life.pointIds()).toHaveLength(8)
    const blockedAt = life.clock.now
    later(life, 2)
    await life.expire()
    expect(await approvalsAsked(life)).toBe(1)
    // Two more have expired since: a share of 2 in 8, which needs no approval.
    for (const point of soon) expect(await life.pointNow(point)).toBeUndefined()
    expect(await life.instanceNow()).toMatchObject({ expiryBlockedAt: blockedAt, expiryBlockedCount: 5 })
    const request = { instanceId: life.instance.id, actor, now: life.clock.now }
    const rehearsed = await approveExpiry(life.database, { ...request, dryRun: true })
    expect(rehearsed.effects.removed.ids.toSorted()).toEqual(expired.map(({ id }) => id).toSorted())
    expect(await life.instanceNow()).toMatchObject({ expiryBlockedAt: blockedAt })
    const approved = await approveExpiry(life.database, { ...request, dryRun: false })
    expect({ ...approved, job: null }).toEqual(rehearsed)
    expect(approved.job).toMatchObject({ operation: 'EXPIRE', trigger: 'USER', createdBy: actor })
    expect(await life.expire()).toMatchObject({ status: 'COMPLETED' })
    expect(await life.pointIds()).toEqual([newest.id])
    for (const point of [...expired, ...soon]) expect(await life.filesOf(point)).toEqual([])
  })

  test('asks no more once its points are kept for ever', async ({ databaseUrl, folder }) => {
    await using life = await startLife({ databaseUrl, folder }, { expiryShareLimitPercent: 10 })
    for (const age of [40, 41, 42]) await life.addPoint(age)
    await life.expire()
    expect((await life.instanceNow())?.expiryBlockedCount).toBe(2)
    const stop = { instanceId: life.instance.id, data: 'RETAIN_FOREVER' as const, reason: null, comment: null }
    await stopProtection(life.database, { ...stop, dryRun: false, actor, now: life.clock.now })
    expect(await life.instanceNow()).toMatchObject({ expiryBlockedAt: null, expiryBlockedCount: null })
    expect(await life.expire()).toMatchObject({ status: 'COMPLETED' })
    expect(await life.pointIds()).toHaveLength(3)
  })
})
