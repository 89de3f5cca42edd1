import type { Logger } from 'pino'
import { createAlarm } from '../../database/alarm.ts'
import type { Database } from '../../database/connect.ts'
import type { Listener } from '../../database/listen.ts'
import { type ChannelKind, openWebhook } from '../../notification/channel/channel.ts'
import { type ClaimedDelivery, claimDeliveries } from '../../notification/delivery/claim.ts'
import { concludeDelivery, type DeliveryResult } from '../../notification/delivery/conclude.ts'
import { type Notification, notificationsChannel } from '../../notification/record.ts'
import type { SecretBox } from '../../secret/secret-box.ts'
import { type MailServer, sendMail } from './send-mail.ts'
import { sendWebhook } from './send-webhook.ts'

/** How an object is named in the API; what is told outside names it so too. */
export type NodeIdOf = (
  noun: 'Notification' | 'BackupInstance' | 'Vault' | 'BackupPolicy' | 'Job',
  id: string,
) => string

export interface DeliveryOptions {
  database: Database
  listener: Pick<Listener, 'subscribe'>
  secrets: Pick<SecretBox, 'open'>
  now: () => Date
  log: Logger
  nodeId: NodeIdOf
  /** Null: no mail can be sent here. */
  mailServer: MailServer | null
  /** Whether it is for this process to deliver now; always when left out. */
  isTurn?: () => Promise<boolean>
  /** The channels that it is for this process to deliver to; of every kind when left out. */
  kinds?: readonly ChannelKind[]
  /** How many deliveries are tried at once; 8 when left out. */
  concurrency?: number
  /** How long one step of an attempt may take (a webhook has one step), ms; 10 s when left out. */
  timeoutMs?: number
  /** How often to look for deliveries without being told, ms; 2 s when left out. */
  pollMs?: number
}

/** How long a connection and everything around it may take before the attempt is taken to be lost, ms. */
const leaseBeyondTimeoutMs = 30_000

/**
 * Delivers notifications to their channels until it is disposed of, apart from all jobs: one at a time for each channel,
 * so that one that hangs holds up no other. Disposing ends attempts under way; they are made again by the next worker.
 */
export function startDeliveries(options: DeliveryOptions): AsyncDisposable {
  const { database, listener, log, concurrency = 8, timeoutMs = 10_000, pollMs = 2_000, isTurn = always } = options
  const running = new Set<Promise<void>>()
  const alarm = createAlarm()
  const closing = new AbortController()
  const which = options.kinds && { kinds: options.kinds }
  const leaseMs = 3 * timeoutMs + leaseBeyondTimeoutMs

  const start = (claimed: ClaimedDelivery) => {
    const run = deliver(options, claimed, { timeoutMs, signal: closing.signal })
      .catch((cause) => log.warn({ err: cause }, 'What came of a delivery could not be recorded; it is made again.'))
      .finally(() => {
        running.delete(run)
        alarm.ring()
      })
    running.add(run)
  }
  const keepLooking = async () => {
    for (let failures = 0; !closing.signal.aborted; ) {
      try {
        const room = (await isTurn()) ? concurrency - running.size : 0
        for (const claimed of await claimDeliveries(database, { room, leaseMs, ...which })) start(claimed)
        failures = 0
        await alarm.wait(pollMs)
      } catch (cause) {
        log.warn({ err: cause }, 'The database could not be asked for deliveries; it is tried again.')
        await alarm.wait(Math.min(50 * 2 ** failures++, pollMs))
      }
    }
  }
  const unsubscribe = listener.subscribe(notificationsChannel, alarm.ring)
  const looking = keepLooking()
  return {
    async [Symbol.asyncDispose]() {
      unsubscribe()
      closing.abort()
      alarm.ring()
      await looking
      await Promise.all(running)
    },
  }
}

const always = async () => true

interface Attempt {
  timeoutMs: number
  signal: AbortSignal
}

async function deliver(options: DeliveryOptions, claimed: ClaimedDelivery, attempt: Attempt): Promise<void> {
  const { database, log } = options
  const { delivery, channel } = claimed
  const result = await tryOnce(options, claimed, attempt).catch((cause): DeliveryResult => {
    log.error({ err: cause, channelId: channel.id }, 'A delivery failed in a way that is not foreseen.')
    return { kind: 'FAILED', text: 'Holdfast could not prepare it: read the log of the worker' }
  })
  const concluded = await concludeDelivery(database, delivery, result)
  const facts = { channelId: channel.id, deliveryId: delivery.id, attempt: delivery.attempts, result: result.text }
  if (concluded?.status === 'FAILED')
    log.error(facts, 'A notification was given up: its channel took it in no attempt.')
  else if (result.kind === 'FAILED') log.warn(facts, 'A notification could not be delivered yet; it is tried again.')
  else log.info(facts, 'An attempt at a delivery ended.')
}

async function tryOnce(
  { secrets, now, nodeId, mailServer }: DeliveryOptions,
  { delivery, notification, channel }: ClaimedDelivery,
  attempt: Attempt,
): Promise<DeliveryResult> {
  const deliveryId = delivery.id
  if (channel.target.kind === 'MAIL') {
    if (!mailServer) return { kind: 'FAILED', text: 'The worker was started without HOLDFAST_SMTP_URL' }
    return sendMail(mailServer, { ...mailOf(notification), to: channel.target.to, deliveryId, ...attempt })
  }
  const body = JSON.stringify(payloadOf(notification, nodeId))
  return sendWebhook({ ...openWebhook(secrets, channel), deliveryId, body, now: now(), ...attempt })
}

/** What a webhook is told: the same text in every attempt. */
function payloadOf(notification: Notification, nodeId: NodeIdOf) {
  const { id, kind, severity, at, message, recommendedActions, instanceId, vaultId, policyId, jobId } = notification
  return {
    id: nodeId('Notification', id),
    kind,
    severity,
    at: at.toISOString(),
    message,
    recommendedActions,
    subject: {
      name: notification.subjectName,
      backupInstance: instanceId && nodeId('BackupInstance', instanceId),
      vault: vaultId && nodeId('Vault', vaultId),
      policy: policyId && nodeId('BackupPolicy', policyId),
      job: jobId && nodeId('Job', jobId),
    },
  }
}

const mostSubjectCharacters = 150

function mailOf({ kind, severity, at, message, recommendedActions, subjectName }: Notification) {
  const headline = message.replaceAll(/\s+/g, ' ')
  const isLong = headline.length > mostSubjectCharacters
  const subject = isLong ? `${headline.slice(0, mostSubjectCharacters - 1).toWellFormed()}…` : headline
  const steps = recommendedActions.map((action) => `- ${action}`)
  const lines = [
    message,
    ...(steps.length > 0 ? ['', 'What to do:', ...steps] : []),
    '',
    `Severity: ${severity}`,
    `Kind: ${kind}`,
    ...(subjectName === null ? [] : [`About: ${subjectName}`]),
    `At: ${at.toISOString()}`,
  ]
  return { subject: `[Holdfast] ${subject}`, text: `${lines.join('\n')}\n` }
}
