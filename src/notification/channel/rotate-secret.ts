import { and, eq } from 'drizzle-orm'
import { recordAudit } from '../../audit/record.ts'
import type { Database } from '../../database/connect.ts'
import { notificationChannels } from '../../database/tables/notification.ts'
import { InvalidInput, NotFound } from '../../refusal.ts'
import type { SecretBox } from '../../secret/secret-box.ts'
import { type NotificationChannel, newSigningSecret, openWebhook, sealWebhook } from './channel.ts'

export interface RotateSecret {
  channelId: string
  secrets: SecretBox
  actor: string
  now: Date
}

/** Gives a webhook channel a new signing secret, answered this once; every request from now on is signed with it alone. */
export async function rotateSecret(
  database: Database,
  { channelId, secrets, actor, now }: RotateSecret,
): Promise<{ channel: NotificationChannel; signingSecret: string }> {
  return database.transaction(async (tx) => {
    const isChannel = eq(notificationChannels.id, channelId)
    const [webhook] = await tx
      .select()
      .from(notificationChannels)
      .where(and(isChannel, eq(notificationChannels.kind, 'WEBHOOK')))
      .for('no key update')
    if (!webhook) throw await whyNot(tx, channelId)
    const signingSecret = newSigningSecret()
    const { url } = openWebhook(secrets, webhook)
    const [channel = webhook] = await tx
      .update(notificationChannels)
      .set({ sealedSecret: sealWebhook(secrets, { url, signingSecret }), secretSetAt: now })
      .where(isChannel)
      .returning()
    await recordAudit(tx, {
      actor,
      action: 'rotateNotificationChannelSecret',
      subject: { kind: 'NotificationChannel', id: channel.id, name: channel.name },
      before: { secretSetAt: webhook.secretSetAt?.toISOString() ?? null },
      after: { secretSetAt: now.toISOString() },
      now,
    })
    return { channel, signingSecret }
  })
}

async function whyNot(tx: Database, channelId: string): Promise<NotFound | InvalidInput> {
  const [mail] = await tx.select().from(notificationChannels).where(eq(notificationChannels.id, channelId))
  if (!mail) return new NotFound('notification channel')
  return new InvalidInput(
    'channel',
    `"${mail.name}" is a mail channel: mail is not signed, so that it has no secret.`,
    ['Rotate the secret of a webhook channel.'],
  )
}
