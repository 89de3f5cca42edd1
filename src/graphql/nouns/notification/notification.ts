import { findFeedEnd } from '../../../database/feed.ts'
import { countNotifications, type NotificationFilter, pageNotifications } from '../../../notification/find.ts'
import { notificationCursor, notificationPlace, watchNotifications } from '../../../notification/read-feed.ts'
import { badUserInput } from '../../schema/bad-user-input.ts'
import { builder } from '../../schema/builder.ts'
import { requireOfThisDatabase } from '../../schema/of-this-database.ts'
import { pageArgs, pageRequest } from '../../schema/paging.ts'
import {
  BackupInstance,
  BackupPolicy,
  Job,
  Notification,
  NotificationConnection,
  NotificationDelivery,
  Vault,
} from '../declared.ts'
import { deliveriesOfNotification } from '../loaded.ts'
import { NotificationKind, NotificationSeverity } from './notification-enums.ts'

Notification.implement({
  description: 'Something that operators are told: each stays in the feed, whatever becomes of what it tells of.',
  fields: (t) => ({
    at: t.expose('at', { type: 'DateTime', description: 'When it happened.' }),
    kind: t.expose('kind', { type: NotificationKind, description: 'What it tells of.' }),
    severity: t.expose('severity', { type: NotificationSeverity, description: 'How much it matters.' }),
    message: t.exposeString('message', { description: 'What happened, with names and values.' }),
    recommendedActions: t.exposeStringList('recommendedActions', {
      description: 'What can be done about it, the most useful first.',
    }),
    backupInstance: t.field({
      type: BackupInstance,
      nullable: true,
      description: 'The backup instance that it is about; null when it is about none, or that is gone.',
      resolve: ({ instanceId }) => instanceId,
    }),
    vault: t.field({
      type: Vault,
      nullable: true,
      description: 'The vault that it is about; null when it is about none, or that is gone.',
      resolve: ({ vaultId }) => vaultId,
    }),
    policy: t.field({
      type: BackupPolicy,
      nullable: true,
      description: 'The policy that it is about; null when it is about none, or that is gone.',
      resolve: ({ policyId }) => policyId,
    }),
    job: t.field({
      type: Job,
      nullable: true,
      description: 'The job that it is about; null when it is about none.',
      resolve: ({ jobId }) => jobId,
    }),
    subjectName: t.exposeString('subjectName', {
      nullable: true,
      description: 'What it is about, by the name that it had then; null when that has no name.',
    }),
    cursor: t.field({
      type: 'Cursor',
      description: 'Its place in the feed: the subscription `notifications` goes on after it.',
      resolve: (notification, _args, { database }) => notificationCursor(database, notification),
    }),
    deliveries: t.field({
      type: [NotificationDelivery],
      description: 'Its way to each channel that wanted it, the oldest channel first.',
      resolve: async ({ id }, _args, context) => (await deliveriesOfNotification(context, id, undefined)) ?? [],
    }),
  }),
})

const Filter = builder.inputType('NotificationFilter', {
  description: 'Which notifications: those that everything given holds for.',
  fields: (t) => ({
    kind: t.field({ type: [NotificationKind], description: 'Of one of these kinds.' }),
    severity: t.field({ type: [NotificationSeverity], description: 'Of one of these severities.' }),
    instance: t.globalID({ for: BackupInstance, description: 'About the backup instance with this id.' }),
    since: t.field({ type: 'DateTime', description: 'From this moment on.' }),
  }),
})

function filterOf(given: typeof Filter.$inferInput | null | undefined): NotificationFilter {
  const { kind, severity, instance, since } = given ?? {}
  return {
    ...(kind && { kinds: kind }),
    ...(severity && { severities: severity }),
    ...(instance && { instanceId: instance.id }),
    ...(since && { since }),
  }
}

builder.queryField('notifications', (t) =>
  t.field({
    type: NotificationConnection,
    description: 'What operators were told, newest first.',
    args: {
      filter: t.arg({ type: Filter, description: 'Which ones; all when left out.' }),
      ...pageArgs(t),
    },
    resolve: async (_root, { filter, ...args }, { database }) => ({
      page: await pageNotifications(database, { filter: filterOf(filter), page: pageRequest(Notification, args) }),
      count: () => countNotifications(database, filterOf(filter)),
    }),
  }),
)

builder.subscriptionField('notifications', (t) =>
  t.field({
    type: Notification,
    description: 'Every notification in order, without gaps: first those after the cursor, then each as it comes.',
    args: {
      after: t.arg({
        type: 'Cursor',
        description:
          'The cursor of the last notification seen, so that none is missed; from now on when it is left out.',
      }),
    },
    subscribe: async (_root, { after }, { database, listener }) => {
      const place = after == null ? await findFeedEnd(database) : notificationPlace(after)
      if (!place) throw badUserInput('`after`: this cursor is not one of this feed: copy it from a notification.')
      if (after != null) await requireOfThisDatabase(database, place)
      return watchNotifications(database, listener, { after: place })
    },
    resolve: (notification) => notification,
  }),
)
