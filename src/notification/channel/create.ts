import { randomUUID } from 'node:crypto'
import { recordAudit } from '../../audit/record.ts'
import type { Database } from '../../database/connect.ts'
import { type ChannelTarget, notificationChannels } from '../../database/tables/notification.ts'
import { checkName, InvalidInput, NameTaken, Refusal } from '../../refusal.ts'
import type { SecretBox } from '../../secret/secret-box.ts'
import type { NotificationKind, NotificationSeverity } from '../record.ts'
import {
  type ChannelRules,
  checkRecipients,
  checkWebhookUrl,
  type NotificationChannel,
  newSigningSecret,
  sealWebhook,
} from './channel.ts'

/** No mail can be sent, because the service was started without a mail server. */
export class MailNotConfigured extends Refusal {
  constructor() {
    super('Holdfast was started without a mail server, so that no mail can be sent.', [
      'Set HOLDFAST_SMTP_URL and HOLDFAST_SMTP_FROM, and start Holdfast again.',
      'Or create a webhook channel.',
    ])
  }
}

export interface CreateChannel {
  name: string
  target: { kind: 'WEBHOOK'; url: string } | { kind: 'MAIL'; to: readonly string[] }
  /** Null: every kind. */
  kinds: readonly NotificationKind[] | null
  minSeverity: NotificationSeverity
  rules: ChannelRules
  secrets: Pick<SecretBox, 'seal'>
  actor: string
  now: Date
}

/**
 * Adds a channel, which is told of everything from now on that it wants. A webhook gets a signing secret, which is
 * answered this once and kept sealed.
 */
export async function createChannel(
  database: Database,
  { name, target, kinds, minSeverity, rules, secrets, actor, now }: CreateChannel,
): Promise<{ channel: NotificationChannel; signingSecret: string | null }> {
  checkName('name', name)
  if (kinds?.length === 0) {
    throw new InvalidInput('kinds', 'A channel that wants no kind of notification would never be told anything.', [
      'Name the kinds that it wants, or leave them out for all.',
    ])
  }
  const prepared = target.kind === 'MAIL' ? prepareMail(target.to, rules) : prepareWebhook(target.url, rules, secrets)
  const { signingSecret, ...row } = prepared
  return database.transaction(async (tx) => {
    const [channel] = await tx
      .insert(notificationChannels)
      .values({
        id: randomUUID(),
        name,
        kind: target.kind,
        ...row,
        secretSetAt: signingSecret === null ? null : now,
        kinds: kinds && [...new Set(kinds)],
        minSeverity,
        createdAt: now,
      })
      .onConflictDoNothing({ target: notificationChannels.name })
      .returning()
    if (!channel) throw new NameTaken('notification channel', name)
    await recordAudit(tx, {
      actor,
      action: 'createNotificationChannel',
      subject: { kind: 'NotificationChannel', id: channel.id, name },
      after: { kind: channel.kind, leadsTo: leadsTo(channel.target), minSeverity, kinds: kinds?.join(', ') ?? 'all' },
      now,
    })
    return { channel, signingSecret }
  })
}

interface Prepared {
  target: ChannelTarget
  sealedSecret: string | null
  signingSecret: string | null
}

function prepareMail(to: readonly string[], { canMail }: ChannelRules): Prepared {
  const recipients = checkRecipients('target.mail.to', to)
  if (!canMail) throw new MailNotConfigured()
  return { target: { kind: 'MAIL', to: recipients }, sealedSecret: null, signingSecret: null }
}

function prepareWebhook(text: string, rules: ChannelRules, secrets: CreateChannel['secrets']): Prepared {
  const url = checkWebhookUrl('target.webhook.url', text, rules)
  const signingSecret = newSigningSecret()
  return {
    target: { kind: 'WEBHOOK', host: url.host },
    sealedSecret: sealWebhook(secrets, { url: url.href, signingSecret }),
    signingSecret,
  }
}

function leadsTo(target: ChannelTarget): string {
  return target.kind === 'WEBHOOK' ? target.host : target.to.join(', ')
}
