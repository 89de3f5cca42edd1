import { isFailureCode } from '../../../failure.ts'
import {
  type JobCount as Count,
  countFailures,
  type FailureCount,
  type JobFilter,
  summariseJobs,
} from '../../../job/find.ts'
import { badUserInput } from '../../schema/bad-user-input.ts'
import { builder } from '../../schema/builder.ts'
import { checkSpan } from '../../schema/filter-checks.ts'
import { BackupInstance, Job, Vault } from '../declared.ts'
import { FailureCode, JobOperation, JobStatus } from './job-enums.ts'

const JobCount = builder.objectRef<Count>('JobCount').implement({
  description: 'How many jobs there are of one kind in one status.',
  fields: (t) => ({
    operation: t.expose('operation', { type: JobOperation, description: 'The kind of work.' }),
    status: t.expose('status', { type: JobStatus, description: 'The status.' }),
    count: t.exposeInt('count', { description: 'How many there are.' }),
    bytesMoved: t.expose('bytesDone', {
      type: 'ByteCount',
      description: 'How many bytes they moved, each in its present or last attempt.',
    }),
  }),
})

const JobFailureCount = builder.objectRef<FailureCount>('JobFailureCount').implement({
  description: 'How many jobs failed for one reason.',
  fields: (t) => ({
    code: t.field({
      type: FailureCode,
      description: 'The reason.',
      resolve: ({ code }) => (isFailureCode(code) ? code : 'INTERNAL'),
    }),
    count: t.exposeInt('count', { description: 'How many jobs failed for it.' }),
    latestJob: t.field({
      type: Job,
      description: 'The one of them that was created last; its error says what to do.',
      resolve: ({ latestJobId }) => latestJobId,
    }),
  }),
})

const mostFailures = 20
const usualSpanMs = 30 * 86_400_000
/** The database knows no year before it. */
const firstMoment = Date.parse('0001-01-01T00:00:00Z')

const JobSummary = builder.objectRef<{ filter: JobFilter; counts: Count[] }>('JobSummary').implement({
  description: 'How many jobs there are, how they ended and why, for a dashboard.',
  fields: (t) => ({
    totalCount: t.int({
      description: 'How many there are in all.',
      resolve: ({ counts }) => counts.reduce((sum, { count }) => sum + count, 0),
    }),
    counts: t.field({
      type: [JobCount],
      description: 'How many there are of each kind and status; those of which there are none are left out.',
      resolve: ({ counts }) => counts,
    }),
    bytesMoved: t.field({
      type: 'ByteCount',
      description: 'How many bytes they moved in all, each in its present or last attempt.',
      resolve: ({ counts }) => counts.reduce((sum, { bytesDone }) => sum + bytesDone, 0),
    }),
    failures: t.field({
      type: [JobFailureCount],
      description: 'Why those that failed did, the most frequent reasons first.',
      args: {
        first: t.arg.int({
          required: true,
          defaultValue: 5,
          description: `How many reasons to answer, 1 to ${mostFailures}.`,
        }),
      },
      resolve: ({ filter }, { first }, { database }) => {
        if (first < 1 || first > mostFailures) {
          throw badUserInput(`\`first\` is 1 to ${mostFailures}; ${first} was given.`)
        }
        return countFailures(database, { filter, limit: first })
      },
    }),
  }),
})

builder.queryField('jobSummary', (t) =>
  t.field({
    type: JobSummary,
    description: 'Jobs of a time, a backup instance or a vault, counted by kind of work and status.',
    args: {
      since: t.arg({
        type: 'DateTime',
        description: 'Only jobs created at this moment or later; those of 30 days before the end when left out.',
      }),
      until: t.arg({ type: 'DateTime', description: 'Only jobs created before this moment; up to now when left out.' }),
      instance: t.arg.globalID({
        for: BackupInstance,
        description: 'Only jobs about the backup instance with this id.',
      }),
      vault: t.arg.globalID({ for: Vault, description: 'Only jobs about the vault with this id.' }),
    },
    resolve: async (_root, { since, until, instance, vault }, { database, now }) => {
      checkSpan(['since', since], ['until', until])
      const filter: JobFilter = {
        createdAfter: since ?? new Date(Math.max((until ?? now()).getTime() - usualSpanMs, firstMoment)),
        ...(until && { createdBefore: until }),
        ...(instance && { instanceId: instance.id }),
        ...(vault && { vaultId: vault.id }),
      }
      return { filter, counts: await summariseJobs(database, filter) }
    },
  }),
)
