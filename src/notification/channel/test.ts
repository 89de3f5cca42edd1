import { eq } from 'drizzle-orm'
import { recordAudit } from '../../audit/record.ts'
import type { Database } from '../../database/connect.ts'
import { notificationChannels, notificationDeliveries } from '../../database/tables/notification.ts'
import { NotFound } from '../../refusal.ts'
import type { NotificationDelivery } from '../delivery/delivery.ts'
import { recordNotification } from '../record.ts'

export interface TestChannel {
  channelId: string
  actor: string
  now: Date
}

/** Sends a test to one channel, whatever kinds and severities it wants; answers the delivery, to be followed. */
export async function testChannel(
  database: Database,
  { channelId, actor, now }: TestChannel,
): Promise<NotificationDelivery> {
  return database.transaction(async (tx) => {
    const [channel] = await tx.select().from(notificationChannels).where(eq(notificationChannels.id, channelId))
    if (!channel) throw new NotFound('notification channel')
    const notificationId = await recordNotification(tx, {
      kind: 'CHANNEL_TEST',
      severity: 'INFO',
      message: `This is a test of the notification channel "${channel.name}", asked for by ${actor}.`,
      about: { name: channel.name },
      channelId,
      now,
    })
    const [delivery] = await tx
      .select()
      .from(notificationDeliveries)
      .where(eq(notificationDeliveries.notificationId, notificationId ?? ''))
    // It was deleted between the two statements.
    if (!delivery) throw new NotFound('notification channel')
    await recordAudit(tx, {
      actor,
      action: 'testNotificationChannel',
      subject: { kind: 'NotificationChannel', id: channel.id, name: channel.name },
      now,
    })
    return delivery
  })
}
