import { createChannel, MailNotConfigured } from '../../../notification/channel/create.ts'
import { deleteChannel } from '../../../notification/channel/delete.ts'
import { countChannels, pageChannels } from '../../../notification/channel/find.ts'
import { rotateSecret } from '../../../notification/channel/rotate-secret.ts'
import { testChannel } from '../../../notification/channel/test.ts'
import { InvalidInput, NameTaken, NotFound } from '../../../refusal.ts'
import { builder } from '../../schema/builder.ts'
import { encodeNodeId } from '../../schema/ids.ts'
import { mutation } from '../../schema/mutation.ts'
import { nodeQuery } from '../../schema/node.ts'
import { pageArgs, pageRequest } from '../../schema/paging.ts'
import { idOf, NotificationChannel, NotificationChannelConnection, NotificationDelivery } from '../declared.ts'
import { asked } from '../fields.ts'
import { NotificationKind, NotificationSeverity } from './notification-enums.ts'

nodeQuery('notificationChannel', NotificationChannel, 'A notification channel by its id; null when there is none.')

builder.queryField('notificationChannels', (t) =>
  t.field({
    type: NotificationChannelConnection,
    description: 'All notification channels, newest first.',
    args: pageArgs(t),
    resolve: async (_root, args, { database }) => ({
      page: await pageChannels(database, { page: pageRequest(NotificationChannel, args) }),
      count: () => countChannels(database),
    }),
  }),
)

const WebhookInput = builder.inputType('WebhookInput', {
  description: 'A URL that notifications are posted to.',
  fields: (t) => ({
    url: t.string({
      required: true,
      description:
        'An absolute https URL; plain http only within the same machine, unless the service was started with HOLDFAST_WEBHOOK_ALLOW_HTTP=true. It is never shown again but for its host.',
    }),
  }),
})

const MailInput = builder.inputType('MailInput', {
  description: 'Who notifications are mailed to.',
  fields: (t) => ({
    to: t.stringList({ required: true, description: 'One to twenty plain mail addresses.' }),
  }),
})

const Target = builder.inputType('NotificationTargetInput', {
  description: 'Where a channel leads; exactly one kind of place.',
  isOneOf: true,
  fields: (t) => ({
    webhook: t.field({ type: WebhookInput, description: 'Notifications are posted to a URL as signed JSON.' }),
    mail: t.field({ type: MailInput, description: 'Notifications are sent as mails.' }),
  }),
})

const signingSecret = {
  type: 'String',
  description: 'The secret that webhook requests are signed with; it is never shown again.',
} as const

mutation('createNotificationChannel', {
  description: 'Adds a channel that notifications are delivered to from now on.',
  input: (t) => ({
    name: t.string({ required: true, description: 'A name of 1 to 200 characters that no other channel has.' }),
    target: t.field({ type: Target, required: true, description: 'Where it leads.' }),
    kinds: t.field({ type: [NotificationKind], description: 'The kinds that it wants; every kind when left out.' }),
    minSeverity: t.field({
      type: NotificationSeverity,
      description: 'The least severity that it wants; INFO, which is everything, when left out.',
    }),
  }),
  payload: {
    channel: { type: NotificationChannel, description: 'The new channel.' },
    signingSecret: { ...signingSecret, nullable: true, description: `${signingSecret.description} Null for mail.` },
  },
  refusals: [InvalidInput, NameTaken, MailNotConfigured],
  resolve: ({ name, target, kinds, minSeverity }, context) =>
    createChannel(context.database, {
      name,
      target: target.mail ? { kind: 'MAIL', to: target.mail.to } : { kind: 'WEBHOOK', url: target.webhook?.url ?? '' },
      kinds: kinds ?? null,
      minSeverity: minSeverity ?? 'INFO',
      rules: context.channelRules,
      secrets: context.secrets,
      ...asked(context),
    }),
})

const channelInput = {
  required: true,
  description: 'The id of the notification channel.',
} as const

mutation('deleteNotificationChannel', {
  description: 'Removes a channel with its delivery log; what was on its way there is not delivered any more.',
  input: (t) => ({ channel: t.globalID(channelInput) }),
  payload: {
    deletedChannelId: { type: 'ID', description: 'The id that the channel had.' },
    name: { type: 'String', description: 'The name that the channel had.' },
  },
  refusals: [NotFound],
  resolve: async ({ channel }, context) => {
    const channelId = idOf('NotificationChannel', channel)
    const { id, name } = await deleteChannel(context.database, { channelId, ...asked(context) })
    return { deletedChannelId: encodeNodeId('NotificationChannel', id), name }
  },
})

mutation('testNotificationChannel', {
  description: 'Sends a notification of the kind CHANNEL_TEST to one channel, whatever it wants.',
  input: (t) => ({ channel: t.globalID(channelInput) }),
  payload: {
    delivery: { type: NotificationDelivery, description: 'Its way to the channel: look at it again to see it arrive.' },
  },
  refusals: [NotFound],
  resolve: async ({ channel }, context) => ({
    delivery: await testChannel(context.database, {
      channelId: idOf('NotificationChannel', channel),
      ...asked(context),
    }),
  }),
})

mutation('rotateNotificationChannelSecret', {
  description: 'Gives a webhook channel a new signing secret; the old one is worth nothing from then on.',
  input: (t) => ({ channel: t.globalID(channelInput) }),
  payload: {
    channel: { type: NotificationChannel, description: 'The channel.' },
    signingSecret,
  },
  refusals: [NotFound, InvalidInput],
  resolve: ({ channel }, context) =>
    rotateSecret(context.database, {
      channelId: idOf('NotificationChannel', channel),
      secrets: context.secrets,
      ...asked(context),
    }),
})
