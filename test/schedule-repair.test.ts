import { expect } from 'vitest'
import type { Database } from '../src/database/connect.ts'
import { backupInstances } from '../src/database/tables/backup-instance.ts'
import { repairPlans } from '../src/instance/schedule/repair-plans.ts'
import { startDueBackups } from '../src/instance/schedule/start-due-backups.ts'
import { watchForJumps } from '../src/worker/clock/jump-watch.ts'
import { repairPlansChore } from '../src/worker/clock/repair-plans.ts'
import { startLife } from './kit/life.ts'
import { addScheduled, endPendingJobs, instanceNow } from './kit/schedule.ts'
import { test } from './kit/test.ts'

const at = (text: string) => new Date(text)
const plannedAt = at('2026-03-01T12:00:00Z')
const schedule = { kind: 'DAILY' as const, times: ['02:00'], spreadMinutes: 60 }
const inFuture = at('2031-05-05T05:00:00Z')

/** As a round of the clock leaves them while it shows 2031. */
async function jump(database: Database): Promise<void> {
  await startDueBackups(database, { now: inFuture, atMost: 100 })
  await endPendingJobs(database)
  await database.update(backupInstances).set({ overdueAt: at('2031-05-06T15:00:00Z') })
}

test('what a clock that was years ahead has planned is planned anew by the right one', async ({ database }) => {
  const [instance] = await addScheduled(database, { plannedAt, schedule, jitter: 0.5 })
  const id = instance?.id ?? ''
  await jump(database)
  expect(await instanceNow(database, id)).toMatchObject({ nextNominalAt: at('2031-05-06T02:00:00Z') })
  const now = at('2026-03-01T18:00:00Z')
  expect(await repairPlans(database, { now })).toBe(1)
  expect(await instanceNow(database, id)).toMatchObject({
    nextNominalAt: at('2026-03-02T02:00:00Z'),
    nextBackupAt: at('2026-03-02T02:30:00Z'),
    overdueAt: at('2026-03-02T15:00:00Z'),
  })
  expect(await startDueBackups(database, { now: at('2026-03-02T02:30:00Z'), atMost: 100 })).toMatchObject({
    started: 1,
  })
})

test('what is planned right is left as it is, and so is what does not run', async ({ database }) => {
  const [running] = await addScheduled(database, { plannedAt, schedule })
  const [stopped] = await addScheduled(database, { plannedAt, schedule, state: 'PROTECTION_STOPPED' })
  const [bare] = await addScheduled(database, { plannedAt, schedule: null })
  for (const now of [plannedAt, at('2026-03-02T02:00:00Z'), at('2027-03-01T12:00:00Z')]) {
    expect(await repairPlans(database, { now })).toBe(0)
  }
  for (const each of [running, stopped, bare]) expect(await instanceNow(database, each?.id ?? '')).toEqual(each)
})

test('plans are looked at once at the start, and again when the clock is set back', async ({ databaseUrl, folder }) => {
  await using life = await startLife({ databaseUrl, folder })
  const { database, service } = life
  const [instance] = await addScheduled(database, { plannedAt, schedule, jitter: 0 })
  const chore = repairPlansChore(watchForJumps({ upMs: () => 0 }))
  const nextAfter = async (now: Date) => {
    await chore.run(service.context, now)
    return (await instanceNow(database, instance?.id ?? '')).nextNominalAt
  }
  await jump(database)
  expect(await nextAfter(plannedAt)).toEqual(at('2026-03-02T02:00:00Z'))
  expect(await nextAfter(inFuture)).toEqual(at('2026-03-02T02:00:00Z'))
  await jump(database)
  expect(await nextAfter(inFuture)).toEqual(at('2031-05-06T02:00:00Z'))
  expect(await nextAfter(plannedAt)).toEqual(at('2026-03-02T02:00:00Z'))
})
