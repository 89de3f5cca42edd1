import { type SQL, sql } from 'drizzle-orm'
import { type jobEvents, jobStatus, type jobSubTasks, jobs } from '../database/tables/job.ts'

export type JobRow = typeof jobs.$inferSelect
export type JobStatus = JobRow['status']
export type JobOperation = JobRow['operation']
export type JobTrigger = JobRow['trigger']
export type JobEvent = typeof jobEvents.$inferSelect
export type JobEventType = JobEvent['type']
export type SubTaskRow = typeof jobSubTasks.$inferSelect
export type SubTaskStatus = SubTaskRow['status']

const ended = ['COMPLETED', 'COMPLETED_WITH_WARNINGS', 'FAILED', 'CANCELLED'] as const satisfies JobStatus[]

/** What may follow what: the whole life of a job. A status with nothing behind it is an end. */
export const mayFollow: Readonly<Record<JobStatus, readonly JobStatus[]>> = {
  QUEUED: ['IN_PROGRESS', 'CANCELLING', 'CANCELLED'],
  IN_PROGRESS: ['QUEUED', 'CANCELLING', ...ended],
  CANCELLING: ended,
  COMPLETED: [],
  COMPLETED_WITH_WARNINGS: [],
  FAILED: [],
  CANCELLED: [],
}

/** Whether nothing follows this status. */
export function isEnded(status: JobStatus): boolean {
  return mayFollow[status].length === 0
}

/** Statuses of a job that has not ended. */
export const pendingStatuses: readonly JobStatus[] = jobStatus.enumValues.filter((status) => !isEnded(status))

/** The same inside the brackets of an `in`. */
export const pendingList: SQL = sql.raw(pendingStatuses.map((status) => `'${status}'`).join(', '))

/** Written as constants, not parameters, so that the partial indexes on the status are used. */
export const isWaiting: SQL = sql`(${jobs.status} in ('QUEUED', 'CANCELLING') and ${jobs.workerId} is null)`
export const isRunning: SQL = sql`(${jobs.status} in ('IN_PROGRESS', 'CANCELLING') and ${jobs.workerId} is not null)`
export const isPending: SQL = sql`${jobs.status} in (${pendingList})`

/** How many of its attempts a job has used up. */
export function attemptsSpent(job: Pick<JobRow, 'attempt' | 'handBacks' | 'cleanUps'>): number {
  return job.attempt - job.handBacks - job.cleanUps
}
