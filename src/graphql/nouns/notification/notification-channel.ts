import { pageArgs, pageRequest } from '../../schema/paging.ts'
import { Notification, NotificationChannel, NotificationDelivery, NotificationDeliveryConnection } from '../declared.ts'
import { none } from '../fields.ts'
import { deliveriesOfChannel, deliveryCountOf, failingSinceOf } from '../loaded.ts'
import {
  NotificationChannelKind,
  NotificationDeliveryStatus,
  NotificationKind,
  NotificationSeverity,
} from './notification-enums.ts'

NotificationChannel.implement({
  description: 'Where notifications are delivered to besides the feed.',
  fields: (t) => ({
    name: t.exposeString('name', { description: 'The name of the channel; no other one has it.' }),
    kind: t.expose('kind', { type: NotificationChannelKind, description: 'How it delivers.' }),
    host: t.string({
      nullable: true,
      description:
        'The host and port that a webhook is posted to; null for mail. The rest of the URL often holds a token and is never shown.',
      resolve: ({ target }) => (target.kind === 'WEBHOOK' ? target.host : null),
    }),
    to: t.stringList({
      nullable: true,
      description: 'The addresses that mail is sent to; null for a webhook.',
      resolve: ({ target }) => (target.kind === 'MAIL' ? target.to : null),
    }),
    kinds: t.field({
      type: [NotificationKind],
      nullable: true,
      description: 'The kinds of notifications that it wants; null for every kind.',
      resolve: ({ kinds }) => kinds,
    }),
    minSeverity: t.expose('minSeverity', {
      type: NotificationSeverity,
      description: 'It wants notifications of this severity and of greater ones.',
    }),
    secretSetAt: t.expose('secretSetAt', {
      type: 'DateTime',
      nullable: true,
      description: 'When the secret was made that webhook requests are signed with; null for mail.',
    }),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When it was created.' }),
    deliveries: t.field({
      type: NotificationDeliveryConnection,
      description: 'Its delivery log, newest first.',
      args: pageArgs(t),
      resolve: async ({ id }, args, context) => ({
        page: (await deliveriesOfChannel(context, id, pageRequest(NotificationDelivery, args))) ?? none,
        count: async () => (await deliveryCountOf(context, id, undefined)) ?? 0,
      }),
    }),
    lastDelivery: t.field({
      type: NotificationDelivery,
      nullable: true,
      description: 'The delivery made last, however it stands; null before the first.',
      resolve: async ({ id }, _args, context) => (await deliveriesOfChannel(context, id, { first: 1 }))?.rows[0],
    }),
    failingSince: t.field({
      type: 'DateTime',
      nullable: true,
      description:
        'When the oldest delivery was made that was tried in vain since the last one that arrived; null while all is well.',
      resolve: ({ id }, _args, context) => failingSinceOf(context, id, undefined),
    }),
  }),
})

NotificationDelivery.implement({
  description: 'One notification on its way to one channel: tried until the channel takes it, for a day.',
  fields: (t) => ({
    notification: t.field({
      type: Notification,
      description: 'What is delivered.',
      resolve: ({ notificationId }) => notificationId,
    }),
    channel: t.field({
      type: NotificationChannel,
      description: 'Where it is delivered to.',
      resolve: ({ channelId }) => channelId,
    }),
    status: t.expose('status', { type: NotificationDeliveryStatus, description: 'How far it has come.' }),
    attempts: t.exposeInt('attempts', { description: 'How often it was tried, an attempt under way included.' }),
    lastResult: t.exposeString('lastResult', {
      nullable: true,
      description:
        'What came of the last attempt, such as "HTTP 503"; null before the first, and while one is under way.',
    }),
    lastAttemptAt: t.expose('lastAttemptAt', {
      type: 'DateTime',
      nullable: true,
      description: 'When it was tried last; null before the first attempt.',
    }),
    nextAttemptAt: t.field({
      type: 'DateTime',
      nullable: true,
      description: 'When it is tried next, at the earliest; null when it is not tried any more.',
      resolve: ({ status, nextAttemptAt }) => (status === 'PENDING' ? nextAttemptAt : null),
    }),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When it was made.' }),
    deliveredAt: t.expose('deliveredAt', {
      type: 'DateTime',
      nullable: true,
      description: 'When the channel took it; null before that.',
    }),
  }),
})
