import { isFailureCode } from '../../../failure.ts'
import { type Estimate, estimate } from '../../../job/estimate.ts'
import type { Job as JobRow, SubTaskRow } from '../../../job/find.ts'
import { builder } from '../../schema/builder.ts'
import { FailureCode, SubTaskStatus } from './job-enums.ts'

type JobErrorRow = NonNullable<JobRow['error']>

export const JobProgress = builder.objectRef<JobRow & Estimate>('JobProgress').implement({
  description: 'How far a job has come in its present or last attempt.',
  fields: (t) => ({
    fraction: t.exposeFloat('fraction', {
      nullable: true,
      description: 'The part that is done, from 0 to 1; null while the whole is not known.',
    }),
    bytesDone: t.expose('bytesDone', { type: 'ByteCount', description: 'How many bytes were moved.' }),
    bytesTotal: t.expose('bytesTotal', {
      type: 'ByteCount',
      nullable: true,
      description: 'How many bytes are expected in all; null while that is not known.',
    }),
    rowsDone: t.expose('rowsDone', { type: 'RowCount', description: 'How many rows were counted or compared.' }),
    rowsTotal: t.expose('rowsTotal', {
      type: 'RowCount',
      nullable: true,
      description: 'How many rows are expected in all; null while that is not known.',
    }),
    bytesPerSecond: t.field({
      type: 'ByteCount',
      nullable: true,
      description: 'How fast bytes were moved on average; null before the first one.',
      resolve: ({ bytesPerSecond }) => bytesPerSecond && Math.round(bytesPerSecond),
    }),
    expectedEndAt: t.expose('expectedEndAt', {
      type: 'DateTime',
      nullable: true,
      description: 'When it may end if it goes on as fast; null unless it runs and whole and rate are known.',
    }),
  }),
})

/** A job's progress with what can be estimated from it. */
export function progressOf(job: JobRow): JobRow & Estimate {
  return { ...job, ...estimate(job) }
}

export const JobError = builder.objectRef<JobErrorRow>('JobError').implement({
  description: 'Why a job failed, and what to do about it; holds no secret.',
  fields: (t) => ({
    code: t.field({
      type: FailureCode,
      description: 'Which failure of the table it is.',
      resolve: ({ code }) => (isFailureCode(code) ? code : 'INTERNAL'),
    }),
    message: t.exposeString('message', { description: 'What went wrong, in one sentence.' }),
    recommendedActions: t.exposeStringList('recommendedActions', {
      description: 'What can be done about it, the most useful first.',
    }),
    isUserError: t.exposeBoolean('isUserError', {
      description: 'Whether you can cure it (rights, password, network, space); otherwise it is our own.',
    }),
    isRetryable: t.exposeBoolean('isRetryable', {
      description: 'Whether the same job may succeed if it is simply tried again.',
    }),
    details: t.exposeString('details', {
      nullable: true,
      description: 'What the program or server said, shortened; null when it said nothing.',
    }),
  }),
})

const SubTaskProgress = builder.objectRef<SubTaskRow>('JobSubTaskProgress').implement({
  description: 'How far a part of a job has come.',
  fields: (t) => ({
    fraction: t.float({
      nullable: true,
      description: 'The part of it that is done, from 0 to 1; null while the whole is not known.',
      resolve: ({ status, bytesDone, bytesTotal }) => {
        if (status === 'COMPLETED') return 1
        return bytesTotal === null || bytesTotal <= 0 ? null : Math.min(1, bytesDone / bytesTotal)
      },
    }),
    bytesDone: t.expose('bytesDone', { type: 'ByteCount', description: 'How many bytes it moved.' }),
    bytesTotal: t.expose('bytesTotal', {
      type: 'ByteCount',
      nullable: true,
      description: 'How many bytes it expects in all; null while that is not known.',
    }),
  }),
})

export const SubTask = builder.objectRef<SubTaskRow>('JobSubTask').implement({
  description: 'One part of the work of a job.',
  fields: (t) => ({
    name: t.exposeString('name', { description: 'What the part does.' }),
    status: t.expose('status', { type: SubTaskStatus, description: 'Where it stands.' }),
    progress: t.field({
      type: SubTaskProgress,
      description: 'How far it has come.',
      resolve: (subTask) => subTask,
    }),
    bytesDone: t.expose('bytesDone', { type: 'ByteCount', description: 'How many bytes it moved.' }),
    bytesTotal: t.expose('bytesTotal', {
      type: 'ByteCount',
      nullable: true,
      description: 'How many bytes it expects in all; null while that is not known.',
    }),
    startedAt: t.expose('startedAt', {
      type: 'DateTime',
      nullable: true,
      description: 'When it began; null before that.',
    }),
    endedAt: t.expose('endedAt', { type: 'DateTime', nullable: true, description: 'When it ended; null before that.' }),
  }),
})

export const JobNote = builder.objectRef<JobRow['notes'][number]>('JobNote').implement({
  description: 'A fact about a job that is worth showing, such as which tools it chose and why.',
  fields: (t) => ({
    name: t.exposeString('name', { description: 'What the fact is about.' }),
    value: t.exposeString('value', { description: 'The fact itself, as text.' }),
  }),
})
