import { encodeFeedCursor, feedEpochOf } from '../../../job/events.ts'
import type { EventPageRequest } from '../../../job/page-events.ts'
import type { JobEvent as EventRow } from '../../../job/states.ts'
import { builder } from '../../schema/builder.ts'
import { connectionBy } from '../../schema/connections.ts'
import { foreignCursor, type PageArgs, pageSizes } from '../../schema/paging.ts'
import { Job, JobEvent } from '../declared.ts'
import { JobEventType, JobStatus, SubTaskStatus } from './job-enums.ts'
import { JobError } from './job-parts.ts'

type EventData = EventRow['data']

const JobEventSubTask = builder.objectRef<NonNullable<EventData['subTask']>>('JobEventSubTask').implement({
  description: 'The part of a job that an event is about.',
  fields: (t) => ({
    name: t.exposeString('name', { description: 'What the part does.' }),
    status: t.expose('status', { type: SubTaskStatus, description: 'Where it stood then.' }),
  }),
})

const JobEventProgress = builder.objectRef<EventData>('JobEventProgress').implement({
  description: 'How far a job had come at an event.',
  fields: (t) => ({
    bytesDone: t.field({
      type: 'ByteCount',
      description: 'How many bytes were moved.',
      resolve: ({ bytesDone }) => bytesDone ?? 0,
    }),
    bytesTotal: t.expose('bytesTotal', {
      type: 'ByteCount',
      nullable: true,
      description: 'How many bytes were expected in all; null when that was not known.',
    }),
    rowsDone: t.field({
      type: 'RowCount',
      description: 'How many rows were counted or compared.',
      resolve: ({ rowsDone }) => rowsDone ?? 0,
    }),
    rowsTotal: t.expose('rowsTotal', {
      type: 'RowCount',
      nullable: true,
      description: 'How many rows were expected in all; null when that was not known.',
    }),
  }),
})

JobEvent.implement({
  description: 'One thing that happened to a job. Events are never changed or removed.',
  fields: (t) => ({
    cursor: t.field({
      type: 'Cursor',
      description:
        'Its place in the stream of all jobs: give the last one seen to jobEvents as `after` to miss nothing.',
      resolve: async ({ transactionId, id }, _args, { database }) =>
        encodeFeedCursor({ transactionId, id, epoch: await feedEpochOf(database) }),
    }),
    job: t.field({
      type: Job,
      description: 'The job as it is now, which may be further on than the event.',
      resolve: ({ jobId }) => jobId,
    }),
    sequence: t.exposeInt('sequence', {
      description: 'Its number among the events of its job: 1, 2, 3, without gaps.',
    }),
    type: t.expose('type', { type: JobEventType, description: 'What happened.' }),
    at: t.expose('at', { type: 'DateTime', description: 'When it happened.' }),
    status: t.expose('status', { type: JobStatus, description: 'Where the job stood right after it.' }),
    attempt: t.exposeInt('attempt', {
      description:
        'The run of the job that it belongs to, counting those that cost no attempt too; 0 before the first.',
    }),
    message: t.string({
      nullable: true,
      description: 'What there is to say about it; null when its type says all.',
      resolve: ({ data }) => data.message,
    }),
    subTask: t.field({
      type: JobEventSubTask,
      nullable: true,
      description: 'The part of the job that it is about; null when it is about the whole.',
      resolve: ({ data }) => data.subTask,
    }),
    progress: t.field({
      type: JobEventProgress,
      nullable: true,
      description: 'How far the job had come; null when the event does not say.',
      resolve: ({ data }) => (data.bytesDone === undefined && data.rowsDone === undefined ? null : data),
    }),
    error: t.field({
      type: JobError,
      nullable: true,
      description: 'What went wrong; null when nothing did.',
      resolve: ({ data }) => data.error,
    }),
    nextAttemptAt: t.field({
      type: 'DateTime',
      nullable: true,
      description: 'When the next attempt may begin; null when none is scheduled.',
      resolve: ({ data }) => (data.runAt === undefined ? null : new Date(data.runAt)),
    }),
  }),
})

export const JobEventConnection = connectionBy(JobEvent, ({ sequence }) => encodeSequence(sequence))

/** The page of a job's own events that the arguments ask for. */
export function sequencePage(args: PageArgs): EventPageRequest {
  return {
    ...pageSizes(args),
    ...(args.after != null && { after: decodeSequence('after', args.after) }),
    ...(args.before != null && { before: decodeSequence('before', args.before) }),
  }
}

function encodeSequence(sequence: number): string {
  return Buffer.from(`event:${sequence}`).toString('base64url')
}

function decodeSequence(argument: 'after' | 'before', text: string): number {
  const [, sequence] = /^event:(\d{1,9})$/.exec(Buffer.from(text, 'base64url').toString('latin1')) ?? []
  if (sequence === undefined || encodeSequence(Number(sequence)) !== text) throw foreignCursor(argument)
  return Number(sequence)
}
