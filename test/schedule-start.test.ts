import fc from 'fast-check'
import { describe, expect } from 'vitest'
import type { Database } from '../src/database/connect.ts'
import { backupInstances } from '../src/database/tables/backup-instance.ts'
import { backUpNow } from '../src/instance/back-up-now.ts'
import { startDueBackups } from '../src/instance/schedule/start-due-backups.ts'
import type { Schedule } from '../src/policy/policy.ts'
import { startsBetween } from '../src/policy/schedule.ts'
import { addScheduled, endPendingJobs, instanceNow, nightly, scheduledJobsOf, startsOf } from './kit/schedule.ts'
import { test } from './kit/test.ts'

const at = (text: string) => new Date(text)

/** Lets the clock tick through a span, in steps of so many minutes, each backup having ended before the next tick. */
async function tickThrough(
  database: Database,
  from: Date,
  { hours, stepMinutes = 30 }: { hours: number; stepMinutes?: number },
) {
  for (let minutes = 0; minutes <= hours * 60; minutes += stepMinutes) {
    await startDueBackups(database, { now: new Date(from.getTime() + minutes * 60_000), atMost: 500 })
    await endPendingJobs(database)
  }
}

describe('a due start', () => {
  test('becomes one job of its moment, and the next start is planned', async ({ database }) => {
    const [instance] = await addScheduled(database, { plannedAt: at('2026-03-01T12:00:00Z') })
    const id = instance?.id ?? ''
    expect(await startDueBackups(database, { now: at('2026-03-02T01:59:59.999Z'), atMost: 500 })).toMatchObject({
      decided: 0,
    })
    const now = at('2026-03-02T02:00:00Z')
    expect(await startDueBackups(database, { now, atMost: 500 })).toEqual({ decided: 1, started: 1, skipped: 0 })
    expect(await startDueBackups(database, { now, atMost: 500 })).toMatchObject({ decided: 0 })
    const [job, ...others] = await scheduledJobsOf(database, id)
    expect(others).toEqual([])
    expect(job).toMatchObject({
      operation: 'BACKUP',
      status: 'QUEUED',
      trigger: 'SCHEDULE',
      scheduledFor: now,
      createdAt: now,
      createdBy: 'holdfast',
      instanceId: id,
      instanceName: instance?.name,
      exclusiveKey: `backup:${id}`,
      lanes: [`server:${instance?.serverId}`, `vault:${instance?.vaultId}`],
      eventSequence: 1,
    })
    expect(await startsOf(database, id)).toEqual([
      {
        instanceId: id,
        nominalAt: now,
        decidedAt: now,
        outcome: 'STARTED',
        jobId: job?.id,
        reason: null,
        missedStarts: 0,
      },
    ])
    const tomorrow = at('2026-03-03T02:00:00Z')
    expect(await instanceNow(database, id)).toMatchObject({
      nextNominalAt: tomorrow,
      nextBackupAt: tomorrow,
      overdueAt: instance?.overdueAt,
    })
  })

  test('is made up for once after three days without a clock, and says how many went by', async ({ database }) => {
    const [instance] = await addScheduled(database, { plannedAt: at('2026-03-01T12:00:00Z') })
    const id = instance?.id ?? ''
    const now = at('2026-03-05T09:30:00Z')
    expect(await startDueBackups(database, { now, atMost: 500 })).toMatchObject({ started: 1 })
    const nominalAt = at('2026-03-05T02:00:00Z')
    expect(await startsOf(database, id)).toMatchObject([{ nominalAt, decidedAt: now, missedStarts: 3 }])
    expect(await scheduledJobsOf(database, id)).toMatchObject([{ scheduledFor: nominalAt }])
    expect(await instanceNow(database, id)).toMatchObject({ nextBackupAt: at('2026-03-06T02:00:00Z') })
  })

  test('is skipped while another backup is pending, with that job as the reason', async ({ database }) => {
    const [instance] = await addScheduled(database, { plannedAt: at('2026-03-01T12:00:00Z') })
    const id = instance?.id ?? ''
    const running = await backUpNow(database, {
      instanceId: id,
      retentionTag: null,
      actor: 'tester',
      now: at('2026-03-02T01:55:00Z'),
    })
    const now = at('2026-03-02T02:00:00Z')
    expect(await startDueBackups(database, { now, atMost: 500 })).toEqual({ decided: 1, started: 0, skipped: 1 })
    expect(await startsOf(database, id)).toMatchObject([
      { outcome: 'SKIPPED', jobId: running.id, reason: expect.stringContaining('Another backup'), nominalAt: now },
    ])
    expect(await scheduledJobsOf(database, id)).toMatchObject([{ id: running.id, trigger: 'USER' }])
    expect(await instanceNow(database, id)).toMatchObject({ nextBackupAt: at('2026-03-03T02:00:00Z') })
  })

  test('starts nothing a second time for a moment that was decided on', async ({ database }) => {
    const [instance] = await addScheduled(database, { plannedAt: at('2026-03-01T12:00:00Z') })
    const id = instance?.id ?? ''
    const now = at('2026-03-02T02:00:00Z')
    await startDueBackups(database, { now, atMost: 500 })
    await endPendingJobs(database)
    // As a scheduler would find it whose plan was lost after its start was decided on.
    await database.update(backupInstances).set({ nextNominalAt: now, nextBackupAt: now })
    expect(await startDueBackups(database, { now, atMost: 500 })).toEqual({ decided: 1, started: 0, skipped: 0 })
    expect(await scheduledJobsOf(database, id)).toHaveLength(1)
    expect(await instanceNow(database, id)).toMatchObject({ nextBackupAt: at('2026-03-03T02:00:00Z') })
  })

  test('of an instance that no longer runs its schedule starts nothing', async ({ database }) => {
    const [instance] = await addScheduled(database, { plannedAt: at('2026-03-01T12:00:00Z') })
    await database.update(backupInstances).set({ state: 'PROTECTION_STOPPED' })
    expect(await startDueBackups(database, { now: at('2026-04-01T00:00:00Z'), atMost: 500 })).toMatchObject({
      decided: 0,
    })
    expect(await scheduledJobsOf(database, instance?.id ?? '')).toEqual([])
  })

  test('follows each policy by its own schedule and zone in the same transaction', async ({ database }) => {
    const plannedAt = at('2026-06-01T00:00:00Z')
    const [tokyo] = await addScheduled(database, { plannedAt, timeZone: 'Asia/Tokyo' })
    const [berlin] = await addScheduled(database, { plannedAt: at('2026-05-31T00:00:00Z'), timeZone: 'Europe/Berlin' })
    const now = at('2026-06-01T17:00:00Z')
    expect(await startDueBackups(database, { now, atMost: 500 })).toMatchObject({ started: 2 })
    expect(await startsOf(database, tokyo?.id ?? '')).toMatchObject([{ nominalAt: now, missedStarts: 0 }])
    const inBerlin = at('2026-06-01T00:00:00Z')
    expect(await startsOf(database, berlin?.id ?? '')).toMatchObject([{ nominalAt: inBerlin, missedStarts: 0 }])
  })
})

describe('on the days when the clock is changed', () => {
  const halfPastTwo: Schedule = { kind: 'DAILY', times: ['02:30'], spreadMinutes: 0 }

  test('a time that does not exist starts when the clock is moved, once', async ({ database }) => {
    const plannedAt = at('2026-03-28T12:00:00Z')
    const [instance] = await addScheduled(database, { plannedAt, schedule: halfPastTwo, timeZone: 'Europe/Berlin' })
    await tickThrough(database, plannedAt, { hours: 48 })
    const starts = await startsOf(database, instance?.id ?? '')
    expect(starts.map(({ nominalAt }) => nominalAt)).toEqual([at('2026-03-29T01:00:00Z'), at('2026-03-30T00:30:00Z')])
  })

  test('a time that comes twice starts once', async ({ database }) => {
    const plannedAt = at('2026-10-24T12:00:00Z')
    const [instance] = await addScheduled(database, { plannedAt, schedule: halfPastTwo, timeZone: 'Europe/Berlin' })
    await tickThrough(database, plannedAt, { hours: 48 })
    const starts = await startsOf(database, instance?.id ?? '')
    expect(starts.map(({ nominalAt }) => nominalAt)).toEqual([at('2026-10-25T00:30:00Z'), at('2026-10-26T01:30:00Z')])
  })
})

test('a thousand instances start all over the spread, each at its own place', async ({ database }) => {
  const plannedAt = at('2026-03-01T12:00:00Z')
  const nominalAt = at('2026-03-02T02:00:00Z')
  const planned = await addScheduled(database, { count: 1000, plannedAt, schedule: { ...nightly, spreadMinutes: 60 } })
  const minutes = planned.map(({ nextBackupAt }) =>
    Math.floor(((nextBackupAt?.getTime() ?? 0) - nominalAt.getTime()) / 60_000),
  )
  expect(minutes.every((minute) => minute >= 0 && minute < 60)).toBe(true)
  expect(
    Math.max(
      ...Map.groupBy(minutes, (minute) => minute)
        .values()
        .map((each) => each.length),
    ),
  ).toBeLessThan(60)

  let started = 0
  for (let minute = 0; minute <= 60; minute += 10) {
    const now = new Date(nominalAt.getTime() + minute * 60_000)
    const tick = async (): Promise<void> => {
      const { started: more, decided } = await startDueBackups(database, { now, atMost: 500 })
      started += more
      if (decided === 500) await tick()
    }
    await tick()
    const dueBy = planned.filter(({ nextBackupAt }) => nextBackupAt && nextBackupAt <= now)
    expect(started).toBe(dueBy.length)
  }
  expect(started).toBe(1000)
  const [first] = planned
  const after = await instanceNow(database, first?.id ?? '')
  expect(Number(after.nextBackupAt) - Number(first?.nextBackupAt)).toBe(24 * 3_600_000)
})

test('whenever the clock ticks, every start of the schedule is answered or made up for, and none twice', async ({
  database,
}) => {
  const schedules: Schedule[] = [
    { kind: 'HOURLY', everyHours: 6, minute: 30, spreadMinutes: 45 },
    { kind: 'DAILY', times: ['02:30', '14:00'], spreadMinutes: 60 },
    { kind: 'WEEKLY', weekdays: ['SUNDAY', 'WEDNESDAY'], times: ['02:30'], spreadMinutes: 0 },
  ]
  const plannedAt = at('2026-03-25T12:00:00Z')
  const ticks = fc.array(fc.integer({ min: 1, max: 3000 }), { minLength: 1, maxLength: 12 })
  const anyZone = fc.constantFrom('UTC', 'Europe/Berlin', 'America/New_York', 'Australia/Lord_Howe')
  await fc.assert(
    fc.asyncProperty(ticks, fc.constantFrom(...schedules), anyZone, async (minutes, schedule, timeZone) => {
      const [instance] = await addScheduled(database, { plannedAt, schedule, timeZone })
      let now = plannedAt
      for (const more of minutes) {
        now = new Date(now.getTime() + more * 60_000)
        await startDueBackups(database, { now, atMost: 500 })
        await endPendingJobs(database)
      }
      const starts = await startsOf(database, instance?.id ?? '')
      const { nextNominalAt } = await instanceNow(database, instance?.id ?? '')
      // All before the one that is planned, which may have been reached but not its place within the spread.
      const upTo = new Date(Number(nextNominalAt) - 1)
      const asked = startsBetween({ schedule, timeZone }, { after: plannedAt, upTo, atMost: 1000 })
      expect(starts.reduce((sum, { missedStarts }) => sum + 1 + missedStarts, 0)).toBe(asked.length)
      expect(asked).toEqual(expect.arrayContaining(starts.map(({ nominalAt }) => nominalAt)))
      expect(await scheduledJobsOf(database, instance?.id ?? '')).toHaveLength(starts.length)
    }),
    { numRuns: 25 },
  )
})
