import { isCancellable } from '../../../instance/cancel-job.ts'
import { attemptsSpent, type JobRow } from '../../../job/states.ts'
import { restoreReportOf, restoreRequestOf } from '../../../restore/restore.ts'
import { restoreValidationOf } from '../../../restore/validation.ts'
import { pageArgs } from '../../schema/paging.ts'
import { BackupInstance, Job, RecoveryPoint } from '../declared.ts'
import { durationText, none } from '../fields.ts'
import { eventsOf, pointOfJob, subTasksOf } from '../loaded.ts'
import { RecoveryDestination, RestoreReport } from '../recovery-point/restore.ts'
import { RestoreValidationReport } from '../recovery-point/validate-restore.ts'
import { categoryOf, JobAction, JobCategory, JobOperation, JobStatus, JobTrigger } from './job-enums.ts'
import { JobEventConnection, sequencePage } from './job-event.ts'
import { JobError, JobNote, JobProgress, progressOf, SubTask } from './job-parts.ts'

Job.implement({
  description: 'One tracked run of work; jobs stay when what they were about is gone.',
  fields: (t) => ({
    operation: t.expose('operation', { type: JobOperation, description: 'What kind of work it is.' }),
    category: t.field({
      type: JobCategory,
      description: 'The family of that kind.',
      resolve: ({ operation }) => categoryOf[operation],
    }),
    status: t.expose('status', { type: JobStatus, description: 'Where it stands in its life.' }),
    supportedActions: t.field({
      type: [JobAction],
      description: 'What can be done to it now.',
      resolve: (job) => (isCancellable(job) ? (['CANCEL'] as const) : []),
    }),
    trigger: t.expose('trigger', { type: JobTrigger, description: 'What started it.' }),
    isUserTriggered: t.boolean({
      description: 'Whether somebody asked for it through the API.',
      resolve: ({ trigger }) => trigger === 'USER',
    }),
    attempt: t.int({
      description: 'How many of its attempts it has used, the running one included; 0 before the first.',
      resolve: (job) => attemptsSpent(job),
    }),
    maxAttempts: t.exposeInt('maxAttempts', { description: 'How many attempts it has in all.' }),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When it was created.' }),
    createdBy: t.exposeString('createdBy', { description: 'Who asked for it, as `viewer` named them.' }),
    scheduledFor: t.expose('scheduledFor', {
      type: 'DateTime',
      nullable: true,
      description: 'The start by a schedule that it answers to, before the spread; null for every other job.',
    }),
    startedAt: t.expose('startedAt', {
      type: 'DateTime',
      nullable: true,
      description: 'When its first attempt began; null before that.',
    }),
    endedAt: t.expose('endedAt', { type: 'DateTime', nullable: true, description: 'When it ended; null before that.' }),
    duration: t.field({
      type: 'Duration',
      nullable: true,
      description: 'How long it took, or has taken until now, from the start of its first attempt; null before that.',
      resolve: ({ startedAt, endedAt }, _args, { now }) =>
        startedAt && durationText((endedAt ?? now()).getTime() - startedAt.getTime()),
    }),
    bytesTransferred: t.field({
      type: 'ByteCount',
      description: 'How many bytes its present or last attempt moved; the same as `progress.bytesDone`.',
      resolve: ({ bytesDone }) => bytesDone,
    }),
    progress: t.field({ type: JobProgress, description: 'How far it has come.', resolve: progressOf }),
    subTasks: t.field({
      type: [SubTask],
      description: 'The parts of its latest attempt, in the order in which they began.',
      resolve: async ({ id }, _args, context) => (await subTasksOf(context, id, undefined)) ?? [],
    }),
    notes: t.expose('notes', { type: [JobNote], description: 'Facts worth showing about its latest attempt.' }),
    warnings: t.exposeStringList('warnings', { description: 'What deserves a look, one sentence each.' }),
    error: t.expose('error', {
      type: JobError,
      nullable: true,
      description: 'Why it failed, or why its last attempt did when another follows; null when nothing went wrong.',
    }),
    backupInstance: t.field({
      type: BackupInstance,
      nullable: true,
      description: 'The backup instance that it is about; null when it is about none, or that is gone.',
      resolve: ({ instanceId }) => instanceId,
    }),
    backupInstanceName: t.exposeString('instanceName', {
      nullable: true,
      description: 'The name that the backup instance had when the job was created; null when it is about none.',
    }),
    policyName: t.exposeString('policyName', {
      nullable: true,
      description: 'The name of the policy that it follows; null when it follows none.',
    }),
    sourceRecoveryPoint: t.field({
      type: RecoveryPoint,
      nullable: true,
      description: 'The recovery point that it reads; null when it reads none, or that is gone.',
      resolve: (job) => (isReader(job) ? job.recoveryPointId : null),
    }),
    targetRecoveryPoint: t.field({
      type: RecoveryPoint,
      nullable: true,
      description:
        'The recovery point that it made, by a backup or as a copy; null while or when it made none, or that is gone.',
      resolve: ({ id, operation }, _args, context) =>
        operation === 'BACKUP' || operation === 'COPY' ? pointOfJob(context, id, undefined) : null,
    }),
    recoveryDestination: t.field({
      type: RecoveryDestination,
      nullable: true,
      description:
        'Where a restore, or the one that is validated, was asked to bring its recovery point; null for every other job.',
      resolve: (job) => (carriesRestoreRequest(job) ? restoreRequestOf(job) : null),
    }),
    restoreReport: t.field({
      type: RestoreReport,
      nullable: true,
      description:
        'What a restore brought back, and how that differs from the backup where it failed for that; null until then, and for every other job.',
      resolve: (job) => restoreReportOf(job),
    }),
    restoreValidation: t.field({
      type: RestoreValidationReport,
      nullable: true,
      description: 'What a validation of a restore found; null until it has ended, and for every other job.',
      resolve: (job) => restoreValidationOf(job),
    }),
    events: t.field({
      type: JobEventConnection,
      description: 'What happened to it, oldest first.',
      args: pageArgs(t),
      resolve: async ({ id, eventSequence }, args, context) => ({
        page: (await eventsOf(context, id, sequencePage(args))) ?? none,
        count: async () => eventSequence,
      }),
    }),
  }),
})

function isReader({ operation }: JobRow): boolean {
  return ['RESTORE', 'VALIDATE_RESTORE', 'VERIFY', 'COPY'].includes(operation)
}

function carriesRestoreRequest({ operation }: JobRow): boolean {
  return operation === 'RESTORE' || operation === 'VALIDATE_RESTORE'
}
