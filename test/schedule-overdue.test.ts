import { asc } from 'drizzle-orm'
import { expect } from 'vitest'
import type { Database } from '../src/database/connect.ts'
import { backupInstances } from '../src/database/tables/backup-instance.ts'
import { notifications } from '../src/database/tables/notification.ts'
import { tellOverdue } from '../src/instance/schedule/tell-overdue.ts'
import { addScheduled, addScheduledPoint } from './kit/schedule.ts'
import { test } from './kit/test.ts'

const at = (text: string) => new Date(text)
const plannedAt = at('2026-03-01T12:00:00Z')
const overdueAt = at('2026-03-02T14:00:00Z')
const told = (database: Database) => database.select().from(notifications).orderBy(asc(notifications.at))

test('an overdue instance is told of once, with what it has', async ({ database }) => {
  const [bare] = await addScheduled(database, { plannedAt })
  const early = new Date(overdueAt.getTime() - 1)
  expect(await tellOverdue(database, { after: null, now: early, atMost: 10 })).toBe(0)
  expect(await tellOverdue(database, { after: early, now: overdueAt, atMost: 10 })).toBe(1)
  expect(await tellOverdue(database, { after: null, now: at('2026-03-05T00:00:00Z'), atMost: 10 })).toBe(0)
  expect(await told(database)).toMatchObject([
    {
      kind: 'PROTECTION_OVERDUE',
      severity: 'ERROR',
      at: overdueAt,
      instanceId: bare?.id,
      vaultId: bare?.vaultId,
      policyId: bare?.policyId,
      subjectName: bare?.name,
      onceKey: `overdue:${bare?.id}:2026-03-02T14:00:00.000Z`,
      message: expect.stringContaining('overdue since 2026-03-02T14:00:00.000Z: it has no recovery point'),
    },
  ])
})

test('each time that it becomes overdue is told, with the newest good point', async ({ database }) => {
  const [instance] = await addScheduled(database, { plannedAt })
  await tellOverdue(database, { after: null, now: overdueAt, atMost: 10 })
  await addScheduledPoint(database, instance, { createdAt: at('2026-03-02T15:00:00Z') })
  const again = at('2026-03-03T14:00:00Z')
  await database.update(backupInstances).set({ overdueAt: again })
  expect(await tellOverdue(database, { after: overdueAt, now: again, atMost: 10 })).toBe(1)
  expect((await told(database)).map(({ message }) => message)).toEqual([
    expect.stringContaining('no recovery point'),
    expect.stringContaining('made at 2026-03-02T15:00:00.000Z'),
  ])
})

test('many are told of a part at a time, and each once by any number of workers', async ({ database }) => {
  await addScheduled(database, { plannedAt, count: 60 })
  await addScheduled(database, { plannedAt, count: 5, state: 'PROTECTION_STOPPED' })
  const now = at('2026-03-03T00:00:00Z')
  const look = () => tellOverdue(database, { after: null, now, atMost: 25 })
  await Promise.all([look(), look(), look(), look()])
  while ((await look()) > 0);
  expect(new Set((await told(database)).map(({ instanceId }) => instanceId)).size).toBe(60)
  expect(await told(database)).toHaveLength(60)
})
