import { eq } from 'drizzle-orm'
import { recordAudit } from '../../audit/record.ts'
import type { Database } from '../../database/connect.ts'
import { notificationChannels } from '../../database/tables/notification.ts'
import { NotFound } from '../../refusal.ts'
import type { NotificationChannel } from './channel.ts'

export interface DeleteChannel {
  channelId: string
  actor: string
  now: Date
}

/** Removes a channel with its delivery log: what was still on its way is not delivered any more. The feed keeps everything. */
export async function deleteChannel(
  database: Database,
  { channelId, actor, now }: DeleteChannel,
): Promise<NotificationChannel> {
  return database.transaction(async (tx) => {
    const [deleted] = await tx.delete(notificationChannels).where(eq(notificationChannels.id, channelId)).returning()
    if (!deleted) throw new NotFound('notification channel')
    await recordAudit(tx, {
      actor,
      action: 'deleteNotificationChannel',
      subject: { kind: 'NotificationChannel', id: deleted.id, name: deleted.name },
      before: { kind: deleted.kind },
      now,
    })
    return deleted
  })
}
