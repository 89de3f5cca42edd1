import type { PageOrder } from '../../../database/page.ts'
import { cancelJob, JobAlreadyEnded, JobNotCancellable } from '../../../instance/cancel-job.ts'
import { countJobs, type JobFilter, pageJobs } from '../../../job/find.ts'
import type { JobOperation as Operation } from '../../../job/states.ts'
import { NotFound } from '../../../refusal.ts'
import { builder } from '../../schema/builder.ts'
import { enumeration } from '../../schema/enumeration.ts'
import { checkSpan } from '../../schema/filter-checks.ts'
import { mutation } from '../../schema/mutation.ts'
import { nodeQuery } from '../../schema/node.ts'
import { pageArgs, pageRequest } from '../../schema/paging.ts'
import { BackupInstance, idOf, Job, JobConnection, Vault } from '../declared.ts'
import { asked } from '../fields.ts'
import { type Category, categoryOf, JobCategory, JobOperation, JobStatus, JobTrigger } from './job-enums.ts'

nodeQuery('job', Job, 'A job by its id; null when there is none.')

const JobsFilter = builder.inputType('JobFilter', {
  description: 'Which jobs: those that everything given holds for.',
  fields: (t) => ({
    operation: t.field({ type: [JobOperation], description: 'Doing one of these kinds of work.' }),
    category: t.field({ type: [JobCategory], description: 'Of one of these families.' }),
    status: t.field({ type: [JobStatus], description: 'In one of these statuses.' }),
    instance: t.globalID({ for: BackupInstance, description: 'About the backup instance with this id.' }),
    vault: t.globalID({ for: Vault, description: 'About the vault with this id.' }),
    trigger: t.field({ type: JobTrigger, description: 'Started by this.' }),
    isOngoing: t.boolean({ description: 'Queued or running, when true; ended, when false.' }),
    createdAfter: t.field({ type: 'DateTime', description: 'Created at this moment or later.' }),
    createdBefore: t.field({ type: 'DateTime', description: 'Created before this moment.' }),
  }),
})

function filterOf(given: typeof JobsFilter.$inferInput | null | undefined): JobFilter {
  const { operation, category, status, instance, vault, trigger, isOngoing, createdAfter, createdBefore } = given ?? {}
  checkSpan(['filter.createdAfter', createdAfter], ['filter.createdBefore', createdBefore])
  return {
    ...((operation || category) && { operations: operationsOf(operation, category) }),
    ...(status && { statuses: status }),
    ...(instance && { instanceId: instance.id }),
    ...(vault && { vaultId: vault.id }),
    ...(trigger && { trigger }),
    ...(isOngoing != null && { isOngoing }),
    ...(createdAfter && { createdAfter }),
    ...(createdBefore && { createdBefore }),
  }
}

/** The kinds of work that are named and whose family is. */
function operationsOf(operations?: readonly Operation[] | null, categories?: readonly Category[] | null): Operation[] {
  // The keys of that record are the kinds of work.
  const all = Object.keys(categoryOf) as Operation[]
  return all.filter(
    (operation) =>
      (!operations || operations.includes(operation)) && (!categories || categories.includes(categoryOf[operation])),
  )
}

const JobOrder = enumeration<PageOrder>('JobOrder', 'In which order a list of jobs is.', {
  NEWEST_FIRST: 'By the time at which they were created, the latest first.',
  OLDEST_FIRST: 'By the time at which they were created, the earliest first.',
})

builder.queryField('jobs', (t) =>
  t.field({
    type: JobConnection,
    description: 'Jobs, ongoing and past, newest first unless another order is asked for.',
    args: {
      filter: t.arg({ type: JobsFilter, description: 'Which ones; all when left out.' }),
      orderBy: t.arg({
        type: JobOrder,
        required: true,
        defaultValue: 'NEWEST_FIRST',
        description: 'In which order.',
      }),
      ...pageArgs(t),
    },
    resolve: async (_root, { filter, orderBy, ...args }, { database }) => ({
      page: await pageJobs(database, { filter: filterOf(filter), page: pageRequest(Job, args), order: orderBy }),
      count: () => countJobs(database, filterOf(filter)),
    }),
  }),
)

mutation('cancelJob', {
  description:
    'Asks a job to stop. One that waits is cancelled at once; one that runs is CANCELLING until what it has begun is undone.',
  input: (t) => ({
    job: t.globalID({ required: true, description: 'The id of the job.' }),
  }),
  payload: { job: { type: Job, description: 'The job, cancelled or being cancelled.' } },
  refusals: [NotFound, JobAlreadyEnded, JobNotCancellable],
  resolve: async ({ job }, context) => ({
    job: await cancelJob(context.database, { jobId: idOf('Job', job), ...asked(context) }),
  }),
})
