import { and, asc, count, desc, eq, gte, inArray, isNotNull, lt, ne, not, or, type SQL, sql } from 'drizzle-orm'
import type { Database } from '../database/connect.ts'
import { keyset, type Page, type PageOrder, type PageRequest, pageOf } from '../database/page.ts'
import { jobSubTasks, jobs } from '../database/tables/job.ts'
import {
  isPending,
  type JobOperation,
  type JobRow,
  type JobStatus,
  type JobTrigger,
  type SubTaskRow,
} from './states.ts'

/** A job as it is kept. */
export type Job = JobRow
export type { JobEvent, JobOperation, JobStatus, JobTrigger, SubTaskRow } from './states.ts'

/** Which jobs; what is left out does not matter, an empty list matches none. */
export interface JobFilter {
  ids?: readonly string[]
  operations?: readonly JobOperation[]
  statuses?: readonly JobStatus[]
  instanceId?: string
  vaultId?: string
  trigger?: JobTrigger
  /** Queued or running, or not. */
  isOngoing?: boolean
  /** From this moment on. */
  createdAfter?: Date
  /** Before this moment, without it. */
  createdBefore?: Date
}

/** The jobs with these ids, by id; ids of none are left out. */
export async function findJobs(database: Database, ids: readonly string[]): Promise<Map<string, JobRow>> {
  if (ids.length === 0) return new Map()
  const rows = await database
    .select()
    .from(jobs)
    .where(inArray(jobs.id, [...ids]))
  return new Map(rows.map((job) => [job.id, job]))
}

/** One page of jobs in the order of their creation, newest first unless said otherwise. */
export async function pageJobs(
  database: Database,
  { filter = {}, page, order }: { filter?: JobFilter; page: PageRequest; order?: PageOrder },
): Promise<Page<JobRow>> {
  const { where, orderBy, limit } = keyset({ at: jobs.createdAt, id: jobs.id }, page, order)
  const rows = await database
    .select()
    .from(jobs)
    .where(and(jobsMatching(filter), where))
    .orderBy(...orderBy)
    .limit(limit)
  return pageOf(rows, page)
}

/** How many jobs match. */
export async function countJobs(database: Database, filter: JobFilter = {}): Promise<number> {
  return database.$count(jobs, jobsMatching(filter))
}

export interface JobCount {
  operation: JobOperation
  status: JobStatus
  count: number
  /** How many bytes they moved in their present or last attempts. */
  bytesDone: number
}

/** How many of the matching jobs there are of each operation and status. */
export async function summariseJobs(database: Database, filter: JobFilter = {}): Promise<JobCount[]> {
  return summarise(database, jobsMatching(filter))
}

async function summarise(database: Database, where: SQL | undefined): Promise<JobCount[]> {
  return database
    .select({
      operation: jobs.operation,
      status: jobs.status,
      count: count(),
      bytesDone: sql`sum(${jobs.bytesDone})`.mapWith(Number),
    })
    .from(jobs)
    .where(where)
    .groupBy(jobs.operation, jobs.status)
    .orderBy(jobs.operation, jobs.status)
}

/** The same of all jobs that are pending and those created since that moment, however many there are before it. */
export async function summariseRecentJobs(database: Database, since: Date): Promise<JobCount[]> {
  return summarise(database, or(isPending, gte(jobs.createdAt, since)))
}

/**
 * Since when the job waits that could have started first; null when none waits. Copies and the verifications of the clock are left
 * out: many of them are planned at once, and waiting for their turn is what they are to do.
 */
export async function findOldestQueuedAt(database: Database): Promise<Date | null> {
  const [oldest] = await database
    .select({ runAt: jobs.runAt })
    .from(jobs)
    .where(and(eq(jobs.status, 'QUEUED'), ne(jobs.operation, 'COPY'), not(isVerificationOfClock)))
    .orderBy(asc(jobs.runAt))
    .limit(1)
  return oldest?.runAt ?? null
}

const isVerificationOfClock = sql`(${jobs.operation} = 'VERIFY' and ${jobs.trigger} <> 'USER')`

export interface FailureCount {
  code: string
  count: number
  latestJobId: string
}

/** Why the matching jobs that failed did, the most frequent reasons first, each with the job that met it last. */
export async function countFailures(
  database: Database,
  { filter = {}, limit }: { filter?: JobFilter; limit: number },
): Promise<FailureCount[]> {
  const code = sql<string>`${jobs.error} ->> 'code'`
  return database
    .select({
      code: code.as('code'),
      count: count().as('occurrences'),
      latestJobId: sql<string>`(array_agg(${jobs.id} order by ${jobs.createdAt} desc, ${jobs.id} desc))[1]`,
    })
    .from(jobs)
    .where(and(jobsMatching(filter), eq(jobs.status, 'FAILED'), isNotNull(jobs.error)))
    .groupBy(sql`code`)
    .orderBy(sql`occurrences desc, code`)
    .limit(limit)
}

/** The newest matching jobs of each of many instances, newest first, by instance id. */
export async function findJobsOfInstances(
  database: Database,
  instanceIds: readonly string[],
  { limit, filter = {} }: { limit: number; filter?: JobFilter },
): Promise<Map<string, JobRow[]>> {
  if (instanceIds.length === 0) return new Map()
  const instances = sql`(values ${sql.join(
    [...new Set(instanceIds)].map((id) => sql`(${id}::uuid)`),
    sql`, `,
  )}) as wanted (instance_id)`
  const newest = database
    .select()
    .from(jobs)
    .where(and(sql`${jobs.instanceId} = wanted.instance_id`, jobsMatching(filter)))
    .orderBy(desc(jobs.createdAt), desc(jobs.id))
    .limit(limit)
    .as('newest')
  const rows = await database.select().from(instances).innerJoinLateral(newest, sql`true`)
  return Map.groupBy(
    rows.map((row) => row.newest),
    (job) => job.instanceId ?? '',
  )
}

/** The newest matching job of each of many instances, by instance id. */
export async function findLastJobs(
  database: Database,
  instanceIds: readonly string[],
  filter: JobFilter = {},
): Promise<Map<string, JobRow>> {
  const found = await findJobsOfInstances(database, instanceIds, { limit: 1, filter })
  return new Map([...found].flatMap(([id, [job]]) => (job ? [[id, job]] : [])))
}

/** The sub tasks of the latest attempt that had any, in order, for each of many jobs, by job id. */
export async function findSubTasks(database: Database, jobIds: readonly string[]): Promise<Map<string, SubTaskRow[]>> {
  if (jobIds.length === 0) return new Map()
  const later = database
    .select({ attempt: sql`max(later.attempt)` })
    .from(sql`${jobSubTasks} as later`)
    .where(sql`later.job_id = ${jobSubTasks.jobId}`)
  const rows = await database
    .select()
    .from(jobSubTasks)
    .where(and(inArray(jobSubTasks.jobId, [...jobIds]), eq(jobSubTasks.attempt, later)))
    .orderBy(jobSubTasks.jobId, jobSubTasks.position)
  return Map.groupBy(rows, (task) => task.jobId)
}

function jobsMatching(filter: JobFilter): SQL | undefined {
  return and(
    filter.ids && inArray(jobs.id, [...filter.ids]),
    filter.operations && inArray(jobs.operation, [...filter.operations]),
    filter.statuses && inArray(jobs.status, [...filter.statuses]),
    filter.instanceId !== undefined ? eq(jobs.instanceId, filter.instanceId) : undefined,
    filter.vaultId !== undefined ? eq(jobs.vaultId, filter.vaultId) : undefined,
    filter.trigger !== undefined ? eq(jobs.trigger, filter.trigger) : undefined,
    filter.isOngoing !== undefined ? (filter.isOngoing ? isPending : not(isPending)) : undefined,
    filter.createdAfter && gte(jobs.createdAt, filter.createdAfter),
    filter.createdBefore && lt(jobs.createdAt, filter.createdBefore),
  )
}
