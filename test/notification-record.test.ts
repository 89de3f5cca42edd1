import { eq } from 'drizzle-orm'
import { describe, expect } from 'vitest'
import type { Database } from '../src/database/connect.ts'
import { notificationChannels, notificationDeliveries } from '../src/database/tables/notification.ts'
import { deleteChannel } from '../src/notification/channel/delete.ts'
import { testChannel } from '../src/notification/channel/test.ts'
import { countNotifications, findNotifications } from '../src/notification/find.ts'
import { type NewNotification, recordNotification } from '../src/notification/record.ts'
import { addWebhook } from './kit/channels.ts'
import { test } from './kit/test.ts'
import { within } from './kit/wait-for.ts'

const now = new Date('2026-03-01T12:00:00.000Z')

function tell(database: Database, notification: Partial<NewNotification> = {}): Promise<string | undefined> {
  return database.transaction((tx) =>
    recordNotification(tx, {
      kind: 'BACKUP_FAILED',
      severity: 'ERROR',
      message: 'The backup of "db" failed.',
      recommendedActions: ['Look at the server.'],
      about: { name: 'db' },
      now,
      ...notification,
    }),
  )
}

async function channelsTold(database: Database, notificationId: string | undefined): Promise<string[]> {
  const rows = await database
    .select({ name: notificationChannels.name, status: notificationDeliveries.status })
    .from(notificationDeliveries)
    .innerJoin(notificationChannels, eq(notificationChannels.id, notificationDeliveries.channelId))
    .where(eq(notificationDeliveries.notificationId, notificationId ?? ''))
    .orderBy(notificationChannels.name)
  expect(rows.every(({ status }) => status === 'PENDING')).toBe(true)
  return rows.map(({ name }) => name)
}

describe('a notification', () => {
  test('goes to every channel that wants its kind and its severity', async ({ database }) => {
    await addWebhook(database, { name: 'all' })
    await addWebhook(database, { name: 'errors', minSeverity: 'ERROR' })
    await addWebhook(database, { name: 'failed backups', kinds: ['BACKUP_FAILED', 'PURGE_NEAR'] })
    expect(await channelsTold(database, await tell(database))).toEqual(['all', 'errors', 'failed backups'])
    const warned = await tell(database, { severity: 'WARNING', kind: 'PURGE_NEAR' })
    expect(await channelsTold(database, warned)).toEqual(['all', 'failed backups'])
    const informed = await tell(database, { severity: 'INFO', kind: 'BACKUP_COMPLETED' })
    expect(await channelsTold(database, informed)).toEqual(['all'])
  })

  test('is told once for its key, however many tell it at once', async ({ database }) => {
    await addWebhook(database)
    const told = await Promise.all(Array.from({ length: 8 }, () => tell(database, { onceKey: 'purge near: db' })))
    const ids = told.filter((id) => id !== undefined)
    expect(ids).toHaveLength(1)
    expect(await countNotifications(database)).toBe(1)
    expect(await database.$count(notificationDeliveries)).toBe(1)
    expect(await findNotifications(database, ids)).toMatchObject([{ message: 'The backup of "db" failed.', at: now }])
    expect(await tell(database, { onceKey: 'purge near: another' })).toBeDefined()
  })

  test('leaves nothing behind when what it tells of is rolled back', async ({ database }) => {
    await addWebhook(database)
    const rolledBack = database.transaction(async (tx) => {
      await recordNotification(tx, { kind: 'PURGE_NEAR', severity: 'INFO', message: 'Soon.', about: {}, now })
      throw new Error('rolled back')
    })
    await expect(rolledBack).rejects.toThrow('rolled back')
    expect(await countNotifications(database)).toBe(0)
    expect(await database.$count(notificationDeliveries)).toBe(0)
  })

  test('is recorded without a channel that is deleted at the same moment', async ({ database }) => {
    const { channel } = await addWebhook(database, { name: 'going' })
    await addWebhook(database, { name: 'staying' })
    const { promise: deleted, resolve: tellDeleted } = Promise.withResolvers<void>()
    const { promise: released, resolve: release } = Promise.withResolvers<void>()
    const deleting = database.transaction(async (tx) => {
      await deleteChannel(tx, { channelId: channel.id, actor: 'ann', now })
      tellDeleted()
      await released
    })
    await deleted
    const telling = tell(database)
    release()
    await deleting
    expect(await channelsTold(database, await within('it is told', telling))).toEqual(['staying'])
  })

  test('that tests a channel goes to that channel alone, whatever it wants', async ({ database }) => {
    await addWebhook(database, { name: 'another' })
    const { channel } = await addWebhook(database, { name: 'picky', kinds: ['PURGE_NEAR'], minSeverity: 'ERROR' })
    const delivery = await testChannel(database, { channelId: channel.id, actor: 'ann', now })
    expect(delivery).toMatchObject({ channelId: channel.id, status: 'PENDING', attempts: 0 })
    expect(await channelsTold(database, delivery.notificationId)).toEqual(['picky'])
  })
})
