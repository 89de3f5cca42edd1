import type { PageRequest } from '../../../database/page.ts'
import type { BackupInstance as InstanceRow } from '../../../instance/instance.ts'
import { type HealthPersistence as Persistence, persistenceOf } from '../../../instance/record/health.ts'
import {
  countScheduledStartsOf,
  pageScheduledStartsOf,
  type ScheduledStart,
} from '../../../instance/schedule/find-scheduled-starts.ts'
import { findLastJobs } from '../../../job/find.ts'
import { batched } from '../../schema/batched.ts'
import { builder } from '../../schema/builder.ts'
import { connectionBy } from '../../schema/connections.ts'
import { enumeration } from '../../schema/enumeration.ts'
import { encodePageCursor, pageArgs, pageRequest } from '../../schema/paging.ts'
import { BackupInstance, Job } from '../declared.ts'
import { HealthStatus } from '../enums.ts'
import { none } from '../fields.ts'
import { JobError } from '../job/job-parts.ts'

const startsOf = batched(
  ({ database }, instanceIds, page: PageRequest) => pageScheduledStartsOf(database, { instanceIds, page }),
  ({ first, last }) => last ?? first ?? 0,
)

const startCountOf = batched(({ database }, instanceIds) => countScheduledStartsOf(database, instanceIds))

const lastFailedJobOf = batched(({ database }, instanceIds) =>
  findLastJobs(database, instanceIds, { operations: ['BACKUP', 'CONFIGURE_PROTECTION'], statuses: ['FAILED'] }),
)

const HealthPersistence = enumeration<Persistence>(
  'HealthPersistence',
  'Whether what is wrong with a backup instance has lasted.',
  {
    TRANSIENT: 'It failed once or twice in a row, and may well be over with the next backup.',
    PERSISTENT: 'It failed three times in a row or more: somebody has to look.',
  },
)

const ScheduledStartOutcome = enumeration<ScheduledStart['outcome']>(
  'ScheduledStartOutcome',
  'What became of a start that a schedule asked for.',
  {
    STARTED: 'A backup was started.',
    SKIPPED: 'Nothing was started, for the reason that stands beside it.',
  },
)

const ScheduledStartRef = builder.objectRef<ScheduledStart>('ScheduledStart').implement({
  description: 'A start that a schedule asked for, and what became of it: decided once for each moment.',
  fields: (t) => ({
    nominalAt: t.expose('nominalAt', {
      type: 'DateTime',
      description: 'The start by the schedule, before the spread over several minutes.',
    }),
    decidedAt: t.expose('decidedAt', { type: 'DateTime', description: 'When it was decided on.' }),
    outcome: t.expose('outcome', { type: ScheduledStartOutcome, description: 'What became of it.' }),
    reason: t.exposeString('reason', {
      nullable: true,
      description: 'Why it was skipped; null when it was not.',
    }),
    job: t.field({
      type: Job,
      description: 'The backup that it started, or the one that was pending when it was skipped.',
      resolve: ({ jobId }) => jobId,
    }),
    missedStarts: t.exposeInt('missedStarts', {
      description:
        'How many starts before this one went by unseen, while no worker ran; this one makes up for all of them.',
    }),
  }),
})

const ScheduledStartConnection = connectionBy(ScheduledStartRef, ({ nominalAt, instanceId }) =>
  encodePageCursor(ScheduledStartRef, { at: nominalAt, id: instanceId }),
)

builder.objectFields(BackupInstance, (t) => ({
  policyVersion: t.exposeInt('policyVersion', {
    description: 'The version of the policy that it follows: the newest one, which makes its next recovery points.',
  }),
  nextBackupAt: t.expose('nextBackupAt', {
    type: 'DateTime',
    nullable: true,
    description: 'When its next backup starts; null without a schedule or while none runs.',
  }),
  nextNominalStartAt: t.expose('nextNominalAt', {
    type: 'DateTime',
    nullable: true,
    description:
      'The start by the schedule that the next backup answers to: before `nextBackupAt` by its own place within the spread; null as there.',
  }),
  isOverdue: t.boolean({
    description:
      'Whether its newest recovery point that is known to be good is older than its schedule allows: the start after it has passed, with the spread and half of the time to the start that follows (one hour at least, a day at most). Where its schedule began to run or was changed after that point was made, by a configuration, resumeProtection, changePolicy or revisePolicy, it counts from that moment; but what is overdue stays so until there is a good recovery point. Never true without a schedule.',
    resolve: (instance, _args, { now }) => overdueSince(instance, now()) !== null,
  }),
  overdueSince: t.field({
    type: 'DateTime',
    nullable: true,
    description: 'When it became overdue; null when it is not.',
    resolve: (instance, _args, { now }) => overdueSince(instance, now()),
  }),
  health: t.expose('health', {
    type: HealthStatus,
    description: 'How its last backup or configuration went; cancelled ones do not count.',
  }),
  healthPersistence: t.field({
    type: HealthPersistence,
    nullable: true,
    description: 'Whether what is wrong has lasted; null while it is HEALTHY.',
    resolve: persistenceOf,
  }),
  healthSince: t.expose('healthSince', {
    type: 'DateTime',
    nullable: true,
    description: 'When the health became what it is; null when it has never changed.',
  }),
  failuresInARow: t.exposeInt('failuresInARow', {
    description: 'How many of its backups and configurations have failed since the last success.',
  }),
  lastFailure: t.field({
    type: JobError,
    nullable: true,
    description:
      'Why its last backup or configuration failed, and what to do about it; null when one has succeeded since.',
    resolve: async ({ id, health }, _args, context) =>
      health === 'HEALTHY' ? null : (await lastFailedJobOf(context, id, undefined))?.error,
  }),
  scheduledStarts: t.field({
    type: ScheduledStartConnection,
    description: 'What became of the starts that its schedule asked for, newest first.',
    args: pageArgs(t),
    resolve: async ({ id }, args, context) => ({
      page: (await startsOf(context, id, pageRequest(ScheduledStartRef, args))) ?? none,
      count: async () => (await startCountOf(context, id, undefined)) ?? 0,
    }),
  }),
}))

function overdueSince({ overdueAt }: InstanceRow, now: Date): Date | null {
  return overdueAt !== null && overdueAt <= now ? overdueAt : null
}
