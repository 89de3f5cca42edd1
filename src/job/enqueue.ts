import { randomUUID } from 'node:crypto'
import { and, eq } from 'drizzle-orm'
import type { Database } from '../database/connect.ts'
import { jobs } from '../database/tables/job.ts'
import { announce, appendEvents, databaseNow, queueChannel, requireTransaction } from './change.ts'
import { isPending, type JobOperation, type JobRow, type JobTrigger } from './states.ts'

/** What a job is about: for views, filters and limits. */
export interface JobSubject {
  instanceId?: string
  vaultId?: string
  serverId?: string
  recoveryPointId?: string
  instanceName?: string
  policyName?: string
}

export interface NewJob {
  id?: string
  operation: JobOperation
  trigger: JobTrigger
  /** What the handler needs; JSON, never a secret. */
  input: unknown
  subject: JobSubject
  /** At most one pending job has a given key. */
  exclusiveKey?: string
  /** Limits that the job counts against while it runs, such as "server:<id>". */
  lanes?: string[]
  /** How many attempts it may use up; 3 when left out. */
  maxAttempts?: number
  actor: string
  now: Date
  /** Not started before this moment; at once when left out. */
  runAt?: Date
}

/** The exclusive key is taken by a job that has not ended. */
export class PendingJobExists extends Error {
  readonly jobId: string

  constructor(jobId: string) {
    super(`Job ${jobId} holds the exclusive key and has not ended.`)
    this.name = 'PendingJobExists'
    this.jobId = jobId
  }
}

/**
 * Adds a job in the caller's transaction; a worker is woken when that commits.
 * Throws PendingJobExists when the exclusive key is taken, which leaves the transaction usable.
 */
export async function enqueueJob(
  tx: Database,
  { id = randomUUID(), subject, actor, now, runAt, lanes = [], maxAttempts = 3, exclusiveKey, ...rest }: NewJob,
): Promise<JobRow> {
  requireTransaction(tx)
  const row = {
    ...rest,
    ...subject,
    id,
    lanes: [...new Set(lanes)],
    maxAttempts,
    exclusiveKey: exclusiveKey ?? null,
    status: 'QUEUED' as const,
    createdAt: now,
    createdBy: actor,
    runAt: runAt ?? databaseNow,
    eventSequence: 1,
  }
  for (;;) {
    const [job] = await tx
      .insert(jobs)
      .values(row)
      .onConflictDoNothing({ target: jobs.exclusiveKey, where: isPending })
      .returning()
    if (job) {
      await Promise.all([appendEvents(tx, [job], [{ type: 'QUEUED' }], now), announce(tx, queueChannel)])
      return job
    }
    const holder = await pendingJob(tx, row.exclusiveKey)
    if (holder) throw new PendingJobExists(holder)
    // The holder ended between the two statements: the key is free again.
  }
}

async function pendingJob(tx: Database, exclusiveKey: string | null): Promise<string | undefined> {
  if (exclusiveKey === null) return undefined
  const [holder] = await tx
    .select({ id: jobs.id })
    .from(jobs)
    .where(and(eq(jobs.exclusiveKey, exclusiveKey), isPending))
  return holder?.id
}
