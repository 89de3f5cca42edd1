import type { Database } from '../../../database/connect.ts'
import { findInstances } from '../../../instance/find.ts'
import { watchInstance } from '../../../instance/watch.ts'
import { decodeFeedCursor, type FeedCursor, feedStart, findFeedEnd, type JobEventFilter } from '../../../job/events.ts'
import { findJobs } from '../../../job/find.ts'
import { watchJob, watchJobEvents } from '../../../job/watch.ts'
import { badUserInput } from '../../schema/bad-user-input.ts'
import { builder } from '../../schema/builder.ts'
import { requireOfThisDatabase } from '../../schema/of-this-database.ts'
import { BackupInstance, Job, JobEvent, Vault } from '../declared.ts'
import { JobEventType, JobOperation } from './job-enums.ts'

builder.subscriptionType({ description: 'Everything that can be watched: what is there first, then every change.' })

builder.subscriptionField('jobChanged', (t) =>
  t.field({
    type: Job,
    description:
      'The job as it is now, and again after each change; where several come together, once with the newest state. Completes when the job has ended.',
    args: { id: t.arg.globalID({ for: Job, required: true, description: 'The id of the job.' }) },
    subscribe: async (_root, { id: { id } }, { database, listener }) => {
      if (!(await findJobs(database, [id])).has(id)) throw badUserInput('`id`: there is no job with that id.')
      return watchJob(database, listener, id)
    },
    resolve: (job) => job,
  }),
)

builder.subscriptionField('backupInstanceChanged', (t) =>
  t.field({
    type: BackupInstance,
    description:
      'The backup instance as it is now, and again after each change of it or of its jobs; where several come together, once with the newest state. Completes when it is gone.',
    args: {
      id: t.arg.globalID({ for: BackupInstance, required: true, description: 'The id of the backup instance.' }),
    },
    subscribe: async (_root, { id: { id } }, { database, listener }) => {
      if ((await findInstances(database, [id])).length === 0) {
        throw badUserInput('`id`: there is no backup instance with that id.')
      }
      return watchInstance(database, listener, id)
    },
    resolve: (instance) => instance,
  }),
)

const EventFilter = builder.inputType('JobEventFilter', {
  description: 'Which events: those that everything given holds for.',
  fields: (t) => ({
    job: t.globalID({ for: Job, description: 'Of the job with this id.' }),
    instance: t.globalID({ for: BackupInstance, description: 'Of jobs about the backup instance with this id.' }),
    vault: t.globalID({ for: Vault, description: 'Of jobs about the vault with this id.' }),
    operation: t.field({ type: [JobOperation], description: 'Of jobs that do one of these kinds of work.' }),
    type: t.field({ type: [JobEventType], description: 'Of one of these types.' }),
  }),
})

function filterOf(given: typeof EventFilter.$inferInput | null | undefined): JobEventFilter {
  const { job, instance, vault, operation, type } = given ?? {}
  return {
    ...(job && { jobIds: [job.id] }),
    ...(instance && { instanceId: instance.id }),
    ...(vault && { vaultId: vault.id }),
    ...(operation && { operations: operation }),
    ...(type && { types: type }),
  }
}

async function placeOf(database: Database, cursor: string): Promise<FeedCursor> {
  const place = decodeFeedCursor(cursor)
  if (!place) throw badUserInput('`after`: this cursor is not one of this stream: copy it from an event.')
  return requireOfThisDatabase(database, place)
}

builder.subscriptionField('jobEvents', (t) =>
  t.field({
    type: JobEvent,
    description: 'Every event in order, without gaps: first those after the cursor, then each as it comes.',
    args: {
      filter: t.arg({ type: EventFilter, description: 'Which ones; all when left out.' }),
      after: t.arg({
        type: 'Cursor',
        description:
          "The cursor of the last event seen, so that none is missed. When left out, the stream begins with the first event of the filter's job, or without such a filter with what happens from now on.",
      }),
    },
    subscribe: async (_root, { filter, after }, { database, listener }) => {
      const beginning = async () => (filter?.job ? feedStart : await findFeedEnd(database))
      const start = after != null ? await placeOf(database, after) : await beginning()
      return watchJobEvents(database, listener, { after: start, filter: filterOf(filter) })
    },
    resolve: (event) => event,
  }),
)
