import { randomBytes } from 'node:crypto'
import type { notificationChannels } from '../../database/tables/notification.ts'
import { InvalidInput } from '../../refusal.ts'
import type { SecretBox } from '../../secret/secret-box.ts'

/** Where notifications are delivered to besides the feed. */
export type NotificationChannel = typeof notificationChannels.$inferSelect
export type ChannelKind = NotificationChannel['kind']

/** What the operator of the service allows of channels. */
export interface ChannelRules {
  /** Whether a webhook outside this machine may be reached without TLS. */
  allowHttp: boolean
  /** Whether a mail server is set. */
  canMail: boolean
}

/** What a webhook channel keeps sealed. */
export interface Webhook {
  url: string
  /** What its requests are signed with. */
  signingSecret: string
}

const mostRecipients = 20
const mailAddress =
  /^[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@([A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)(\.[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*$/
const loopbackHost = /^(localhost|127(\.\d{1,3}){3}|\[::1\])$/

/** A new secret to sign webhook requests with: 256 random bits. */
export function newSigningSecret(): string {
  return `holdfast-webhook-${randomBytes(32).toString('base64url')}`
}

/** The webhook, as the channel's row keeps it. */
export function sealWebhook(secrets: Pick<SecretBox, 'seal'>, webhook: Webhook): string {
  return secrets.seal(JSON.stringify(webhook))
}

/** The webhook of a channel; keep it out of every log and answer. Throws a SecretError when the key file is another one. */
export function openWebhook(secrets: Pick<SecretBox, 'open'>, { sealedSecret }: NotificationChannel): Webhook {
  const opened: unknown = JSON.parse(secrets.open(sealedSecret ?? ''))
  if (typeof opened !== 'object' || opened === null || !('url' in opened) || !('signingSecret' in opened)) {
    throw new Error('A webhook channel does not keep a webhook.')
  }
  return { url: String(opened.url), signingSecret: String(opened.signingSecret) }
}

/** Refuses a URL that no webhook may have; answers it taken apart. */
export function checkWebhookUrl(field: string, text: string, { allowHttp }: Pick<ChannelRules, 'allowHttp'>): URL {
  const isPlain = text.length <= 2_000 && text.isWellFormed() && !/[\s\p{Cc}]/u.test(text)
  const url = isPlain && URL.canParse(text) ? new URL(text) : undefined
  if (!url || (url.protocol !== 'https:' && url.protocol !== 'http:') || url.port === '0') {
    throw new InvalidInput(field, 'A webhook is an absolute https URL of at most 2000 characters without spaces.', [
      'Give one such as https://alerts.example.com/holdfast.',
    ])
  }
  if (url.username !== '' || url.password !== '' || text.includes('#')) {
    throw new InvalidInput(field, 'The URL of a webhook holds neither a user, a password nor a fragment.', [
      'Leave them out: every request is signed, so that the receiver can tell who sent it.',
    ])
  }
  if (url.protocol === 'http:' && !allowHttp && !loopbackHost.test(url.hostname)) {
    throw new InvalidInput(
      field,
      `Plain http would show every notification to the network on the way to ${url.host}.`,
      ['Use https.', 'On a network that is trusted, start Holdfast with HOLDFAST_WEBHOOK_ALLOW_HTTP=true.'],
    )
  }
  return url
}

/** Refuses recipients that no mail could reach; answers each address once. */
export function checkRecipients(field: string, addresses: readonly string[]): string[] {
  const found = [...new Set(addresses)]
  if (found.length === 0 || found.length > mostRecipients) {
    throw new InvalidInput(field, `A mail channel has 1 to ${mostRecipients} addresses; ${found.length} were given.`, [
      'Use a mailing list for more.',
    ])
  }
  const wrong = found.find((address) => address.length > 254 || !mailAddress.test(address))
  if (wrong !== undefined) {
    const shown = wrong.slice(0, 100).toWellFormed()
    throw new InvalidInput(field, `"${shown}" is not a mail address.`, [
      'Give plain addresses such as ops@example.com.',
    ])
  }
  return found
}
