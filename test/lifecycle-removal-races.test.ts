import { expect } from 'vitest'
import { markExpired } from '../src/instance/expiry/mark-expired.ts'
import { beginPurge } from '../src/instance/purge/begin-purge.ts'
import { resumeProtection } from '../src/instance/resume-protection.ts'
import { stopProtection } from '../src/instance/stop-protection.ts'
import { PurgeHasBegun, undeleteBackupInstance } from '../src/instance/undelete-backup-instance.ts'
import { beginSweep } from '../src/recovery-point/begin-sweep.ts'
import { addLife, addPoints, asked, instanceOf, now, type PointSeed } from './kit/lifecycle.ts'
import { findRecoveryPointsOf } from './kit/points.ts'
import { test } from './kit/test.ts'

const rounds = [0, 1, 2, 3, 4, 5]
const marked: PointSeed = { madeDaysAgo: 60, endsInDays: -30, state: 'REMOVING', markedAt: now, markReason: 'Its end.' }
const newest: PointSeed = { madeDaysAgo: 1, endsInDays: 29 }

/** Starts both at once, the other way round every second time. */
function atOnce<One, Other>(round: number, one: () => Promise<One>, other: () => Promise<Other>) {
  const begun = round % 2 === 0 ? undefined : other()
  return Promise.allSettled([one(), begun ?? other()])
}

test('an instance is undeleted or its purge begins, never both', async ({ database }) => {
  for (const round of rounds) {
    const { id } = await addLife(database, { state: 'SOFT_DELETED', instance: { scheduledPurgeAt: now } })
    const [undeleted, purge] = await atOnce(
      round,
      () => undeleteBackupInstance(database, { instanceId: id, ...asked }),
      () => beginPurge(database, { instanceId: id, jobId: crypto.randomUUID(), now }),
    )
    const instance = await instanceOf(database, id)
    if (undeleted.status === 'fulfilled') {
      expect(purge).toMatchObject({ value: { kind: 'NOT_DUE' } })
      expect(instance).toMatchObject({ state: 'PROTECTION_STOPPED', purgeStartedAt: null, scheduledPurgeAt: null })
      expect(new Set((await findRecoveryPointsOf(database, id)).map(({ state }) => state))).toEqual(
        new Set(['AVAILABLE']),
      )
    } else {
      expect(undeleted.reason).toBeInstanceOf(PurgeHasBegun)
      expect(purge).toMatchObject({ value: { kind: 'PURGE' } })
      expect(instance).toMatchObject({ state: 'SOFT_DELETED', purgeStartedAt: now })
    }
  }
})

test('nothing stays chosen for removal of an instance that keeps all for ever while expiry chooses', async ({
  database,
}) => {
  for (const round of rounds) {
    const { id } = await addLife(database)
    const points = await findRecoveryPointsOf(database, id)
    const ids = points.filter(({ expiresAt }) => expiresAt <= now).map((point) => point.id)
    await atOnce(
      round,
      () => stopProtection(database, { instanceId: id, data: 'RETAIN_FOREVER', reason: null, comment: null, ...asked }),
      () => markExpired(database, { instanceId: id, ids, now }),
    )
    expect(ids).toHaveLength(3)
    expect(await findRecoveryPointsOf(database, id)).toEqual(points)
  }
})

test('a point is kept for ever or its bytes begin to go, never both', async ({ database }) => {
  for (const round of rounds) {
    const instance = await addLife(database, { points: [newest] })
    const [point] = await addPoints(database, instance, [marked])
    const recoveryPointId = point?.id ?? ''
    const [, sweep] = await atOnce(
      round,
      () =>
        stopProtection(database, {
          instanceId: instance.id,
          data: 'RETAIN_FOREVER',
          reason: null,
          comment: null,
          ...asked,
        }),
      () => beginSweep(database, { recoveryPointId, instanceId: instance.id, now }),
    )
    const isSwept = sweep.status === 'fulfilled' && sweep.value.kind === 'SWEEP'
    const [, oldest] = await findRecoveryPointsOf(database, instance.id)
    expect(oldest).toMatchObject(
      isSwept
        ? { state: 'REMOVING', sweepStartedAt: now }
        : { state: 'AVAILABLE', markedAt: null, sweepStartedAt: null },
    )
  }
})

test('protection that resumes while expiry runs has one clean-up, and the marks stand', async ({ database }) => {
  for (const round of rounds) {
    const { id } = await addLife(database, { state: 'BACKUP_SCHEDULES_SUSPENDED' })
    const points = await findRecoveryPointsOf(database, id)
    const ids = points.filter(({ expiresAt }) => expiresAt <= now).map((point) => point.id)
    const [resumed, run] = await atOnce(
      round,
      () => resumeProtection(database, { instanceId: id, ...asked }),
      () => markExpired(database, { instanceId: id, ids, now }),
    )
    expect(run).toMatchObject({ status: 'fulfilled', value: { count: 3 } })
    if (resumed.status === 'rejected') throw resumed.reason
    // Marked before or planned after: they go either way.
    expect(new Set(resumed.value.effects.removed.ids)).toEqual(new Set(ids))
    expect(await instanceOf(database, id)).toMatchObject({ state: 'PROTECTION_CONFIGURED' })
    const gone = (await findRecoveryPointsOf(database, id)).filter(({ state }) => state === 'REMOVING')
    expect(new Set(gone.map((point) => point.id))).toEqual(new Set(ids))
  }
})
