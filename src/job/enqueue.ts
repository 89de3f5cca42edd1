import { randomUUID } from 'node:crypto'
import { and, inArray } from 'drizzle-orm'
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
  /** The start by a schedule that it answers to. */
  scheduledFor?: Date
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

/** What became of one of many jobs: it is in the queue, or its exclusive key is taken by a job that has not ended. */
export type Enqueued = { job: JobRow } | { heldBy: string }

/**
 * Adds a job in the caller's transaction; a worker is woken when that commits.
 * Throws PendingJobExists when the exclusive key is taken, which leaves the transaction usable.
 */
export async function enqueueJob(tx: Database, job: NewJob): Promise<JobRow> {
  const [enqueued] = await enqueueJobs(tx, [job])
  if (!enqueued) throw new Error('A job that was enqueued did not come back.')
  if ('heldBy' in enqueued) throw new PendingJobExists(enqueued.heldBy)
  return enqueued.job
}

/**
 * Adds many jobs at once, by the same few statements however many they are; answers what became of each, in their order.
 * Of those that ask for the same exclusive key the first gets it.
 */
export async function enqueueJobs(tx: Database, wanted: readonly NewJob[]): Promise<Enqueued[]> {
  requireTransaction(tx)
  const rows = wanted.map(rowOf)
  const answers = new Map<string, Enqueued>()
  const open = () => rows.filter(({ id }) => !answers.has(id))
  // Looked for first: an insert would wait for a holder that is ending, which may wait for a row that the caller has locked.
  for (let holders = await pendingJobs(tx, rows); ; holders = await pendingJobs(tx, open())) {
    for (const { id, exclusiveKey } of open()) {
      const heldBy = exclusiveKey === null ? undefined : holders.get(exclusiveKey)
      if (heldBy !== undefined) answers.set(id, { heldBy })
    }
    for (const job of await insertFree(tx, open())) answers.set(job.id, { job })
    // Where the key was taken meanwhile, its holder is looked for; where that has ended since, the key is free again.
    if (open().length === 0) break
  }
  return rows.flatMap(({ id }) => answers.get(id) ?? [])
}

function rowOf({ id = randomUUID(), subject, actor, now, runAt, lanes = [], maxAttempts = 3, ...rest }: NewJob) {
  return {
    ...rest,
    ...subject,
    id,
    lanes: [...new Set(lanes)],
    maxAttempts,
    exclusiveKey: rest.exclusiveKey ?? null,
    status: 'QUEUED' as const,
    createdAt: now,
    createdBy: actor,
    runAt: runAt ?? databaseNow,
    eventSequence: 1,
  }
}

/** Inserts those whose key is not taken, each with the event that says so. */
async function insertFree(tx: Database, rows: ReturnType<typeof rowOf>[]): Promise<JobRow[]> {
  if (rows.length === 0) return []
  const inserted = await tx
    .insert(jobs)
    .values(rows)
    .onConflictDoNothing({ target: jobs.exclusiveKey, where: isPending })
    .returning()
  const byMoment = Map.groupBy(inserted, ({ createdAt }) => createdAt.getTime())
  for (const [moment, created] of byMoment) await appendEvents(tx, created, [{ type: 'QUEUED' }], new Date(moment))
  if (inserted.length > 0) await announce(tx, queueChannel)
  return inserted
}

/** The pending jobs that hold the keys of these, by key. */
async function pendingJobs(
  tx: Database,
  rows: readonly { exclusiveKey: string | null }[],
): Promise<Map<string, string>> {
  const keys = rows.flatMap(({ exclusiveKey }) => exclusiveKey ?? [])
  if (keys.length === 0) return new Map()
  const holders = await tx
    .select({ id: jobs.id, key: jobs.exclusiveKey })
    .from(jobs)
    .where(and(inArray(jobs.exclusiveKey, [...new Set(keys)]), isPending))
  return new Map(holders.flatMap(({ id, key }) => (key === null ? [] : [[key, id]])))
}
