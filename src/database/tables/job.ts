import { sql } from 'drizzle-orm'
import {
  bigint,
  boolean,
  customType,
  index,
  integer,
  jsonb,
  pgEnum,
  pgTable,
  primaryKey,
  text,
  timestamp,
  uniqueIndex,
  uuid,
} from 'drizzle-orm/pg-core'

export const jobOperation = pgEnum('job_operation', [
  'BACKUP',
  'RESTORE',
  'CONFIGURE_PROTECTION',
  'VERIFY',
  'EXPIRE',
  'PURGE',
  'VALIDATE_RESTORE',
  'COPY',
  'IMPORT_VAULT',
  'ROTATE_KEY',
  'BACK_UP_METADATA',
])
export const jobStatus = pgEnum('job_status', [
  'QUEUED',
  'IN_PROGRESS',
  'CANCELLING',
  'COMPLETED',
  'COMPLETED_WITH_WARNINGS',
  'FAILED',
  'CANCELLED',
])
export const jobTrigger = pgEnum('job_trigger', ['USER', 'SCHEDULE', 'SYSTEM'])
export const subTaskStatus = pgEnum('sub_task_status', [
  'NOT_STARTED',
  'IN_PROGRESS',
  'COMPLETED',
  'FAILED',
  'CANCELLED',
])
export const jobEventType = pgEnum('job_event_type', [
  'QUEUED',
  'STARTED',
  'PROGRESSED',
  'SUB_TASK_CHANGED',
  'WARNED',
  'NOTED',
  'CANCEL_REQUESTED',
  'RETRY_SCHEDULED',
  'RESCUED',
  'HANDED_BACK',
  'ENDED',
])

/** Why a job failed, resolved from the one table of failure codes; holds no secret. */
export interface JobError {
  code: string
  message: string
  recommendedActions: string[]
  isUserError: boolean
  isRetryable: boolean
  /** What the program or server said, capped and free of secrets; null when nothing was said. */
  details: string | null
}

/** A fact worth showing in a job's details, such as which tools were chosen and why. */
export interface JobNote {
  name: string
  value: string
}

const xid8 = customType<{ data: bigint; driverData: string }>({
  dataType: () => 'xid8',
  fromDriver: (value) => BigInt(value),
  toDriver: (value) => value.toString(),
})

const moment = () => timestamp({ precision: 3, withTimezone: true })
const byteCount = () => bigint({ mode: 'number' })

export const jobs = pgTable(
  'jobs',
  {
    id: uuid().primaryKey(),
    operation: jobOperation().notNull(),
    status: jobStatus().notNull(),
    trigger: jobTrigger().notNull(),
    /** What the handler needs, decided when the job was enqueued; never a secret. */
    input: jsonb().$type<unknown>().notNull(),
    /** What the work is about: for views, filters and limits. No foreign keys: jobs outlive what they were about. */
    instanceId: uuid(),
    vaultId: uuid(),
    serverId: uuid(),
    recoveryPointId: uuid(),
    instanceName: text(),
    policyName: text(),
    /** At most one pending (queued or running) job has a given key. */
    exclusiveKey: text(),
    /** Limits the job counts against, such as "server:<id>"; the part before the colon names the limit. */
    lanes: text().array().notNull().default(sql`'{}'`),
    /** Counts every claim, so that (id, attempt, worker) never names two runs; artifacts are kept under it. */
    attempt: integer().notNull().default(0),
    /** Claims that cost no attempt because a worker that was shutting down handed the job back. */
    handBacks: integer().notNull().default(0),
    /** Claims made only to clean up before the job ends. */
    cleanUps: integer().notNull().default(0),
    maxAttempts: integer().notNull(),
    /** An attempt ended without its worker: something of it may lie about until the job is performed again or cleaned up. */
    mayHaveLeftovers: boolean().notNull().default(false),
    /** Not claimed before this moment. */
    runAt: moment().notNull(),
    workerId: text(),
    leaseUntil: moment(),
    cancelRequestedAt: moment(),
    createdAt: moment().notNull(),
    createdBy: text().notNull(),
    /** The start by the schedule that it answers to; null for every other job. */
    scheduledFor: moment(),
    /** When the first attempt started. */
    startedAt: moment(),
    attemptStartedAt: moment(),
    endedAt: moment(),
    bytesDone: byteCount().notNull().default(0),
    bytesTotal: byteCount(),
    rowsDone: byteCount().notNull().default(0),
    rowsTotal: byteCount(),
    progressAt: moment(),
    notes: jsonb().$type<JobNote[]>().notNull().default([]),
    warnings: jsonb().$type<string[]>().notNull().default([]),
    error: jsonb().$type<JobError>(),
    /** What a finished job produced, shaped by its operation. */
    result: jsonb().$type<unknown>(),
    /** The sequence of the last event, taken under this row's lock. */
    eventSequence: integer().notNull().default(0),
    /** The place of the last event in the feed, at the least. */
    eventTransactionId: xid8().notNull().default(sql`pg_current_xact_id()`),
    /** What an attempt keeps for those after it, written before it takes effect; shaped by the operation, never a secret. */
    kept: jsonb().$type<unknown>(),
  },
  (table) => [
    uniqueIndex('one_pending_job_per_exclusive_key')
      .on(table.exclusiveKey)
      .where(sql`status in ('QUEUED', 'IN_PROGRESS', 'CANCELLING')`),
    index('jobs_claimable').on(table.runAt, table.id).where(sql`status in ('QUEUED', 'CANCELLING')`),
    index('jobs_leased').on(table.leaseUntil).where(sql`status in ('IN_PROGRESS', 'CANCELLING')`),
    index('jobs_by_creation').on(table.createdAt, table.id),
    index('jobs_by_instance').on(table.instanceId, table.createdAt, table.id),
    index('jobs_pending_by_instance')
      .on(table.instanceId)
      .where(sql`status in ('QUEUED', 'IN_PROGRESS', 'CANCELLING')`),
    index('jobs_pending_by_recovery_point')
      .on(table.recoveryPointId)
      .where(sql`status in ('QUEUED', 'IN_PROGRESS', 'CANCELLING')`),
    index('jobs_by_vault').on(table.vaultId, table.createdAt, table.id),
  ],
)

export const jobSubTasks = pgTable(
  'job_sub_tasks',
  {
    jobId: uuid()
      .notNull()
      .references(() => jobs.id),
    attempt: integer().notNull(),
    position: integer().notNull(),
    name: text().notNull(),
    status: subTaskStatus().notNull(),
    bytesDone: byteCount().notNull().default(0),
    bytesTotal: byteCount(),
    startedAt: moment(),
    endedAt: moment(),
  },
  (table) => [primaryKey({ columns: [table.jobId, table.attempt, table.position] })],
)

/** The state of a job right after one of its events: what a dashboard draws without asking again. */
export interface JobEventData {
  message?: string
  subTask?: { name: string; status: (typeof subTaskStatus.enumValues)[number] }
  bytesDone?: number
  bytesTotal?: number | null
  rowsDone?: number
  rowsTotal?: number | null
  error?: JobError
  /** When a job that tries again may start, ISO 8601. */
  runAt?: string
}

export const jobEvents = pgTable(
  'job_events',
  {
    jobId: uuid()
      .notNull()
      .references(() => jobs.id),
    sequence: integer().notNull(),
    /**
     * The writing transaction, or that of the job's event before when it is later: transactions may get at a job in another
     * order than they began. The feed over all jobs is ordered by (transactionId, id) and cut below the oldest one open.
     */
    transactionId: xid8().notNull(),
    id: bigint({ mode: 'bigint' }).generatedAlwaysAsIdentity(),
    at: moment().notNull(),
    type: jobEventType().notNull(),
    status: jobStatus().notNull(),
    attempt: integer().notNull(),
    data: jsonb().$type<JobEventData>().notNull(),
  },
  (table) => [
    primaryKey({ columns: [table.jobId, table.sequence] }),
    uniqueIndex('job_events_in_feed_order').on(table.transactionId, table.id),
  ],
)
