import { randomUUID } from 'node:crypto'
import { and, eq, sql } from 'drizzle-orm'
import type { Database } from '../database/connect.ts'
import { recordset } from '../database/recordset.ts'
import { jobs } from '../database/tables/job.ts'
import { announce, appendEvents, type CountedJob, databaseNow, queueChannel, requireTransaction } from './change.ts'
import { findJobs } from './find.ts'
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
export type Enqueued = { jobId: string } | { heldBy: string }

/**
 * Adds a job in the caller's transaction; a worker is woken when that commits.
 * Throws PendingJobExists when the exclusive key is taken, which leaves the transaction usable.
 */
export async function enqueueJob(tx: Database, wanted: NewJob): Promise<JobRow> {
  const [enqueued] = await enqueueJobs(tx, [wanted])
  if (enqueued && 'heldBy' in enqueued) throw new PendingJobExists(enqueued.heldBy)
  const [job] = enqueued ? await tx.select().from(jobs).where(eq(jobs.id, enqueued.jobId)) : []
  if (!job) throw new Error('A job that was enqueued did not come back.')
  return job
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
    for (const { id, exclusive_key: key } of open()) {
      const heldBy = key === null ? undefined : holders.get(key)
      if (heldBy !== undefined) answers.set(id, { heldBy })
    }
    for (const { id } of await insertFree(tx, open())) answers.set(id, { jobId: id })
    // Where the key was taken meanwhile, its holder is looked for; where that has ended since, the key is free again.
    if (open().length === 0) break
  }
  return rows.flatMap(({ id }) => answers.get(id) ?? [])
}

function rowOf({ subject, ...job }: NewJob) {
  return {
    id: job.id ?? randomUUID(),
    operation: job.operation,
    trigger: job.trigger,
    input: job.input,
    instance_id: subject.instanceId ?? null,
    vault_id: subject.vaultId ?? null,
    server_id: subject.serverId ?? null,
    recovery_point_id: subject.recoveryPointId ?? null,
    instance_name: subject.instanceName ?? null,
    policy_name: subject.policyName ?? null,
    exclusive_key: job.exclusiveKey ?? null,
    lanes: [...new Set(job.lanes ?? [])],
    max_attempts: job.maxAttempts ?? 3,
    created_at: job.now,
    created_by: job.actor,
    run_at: job.runAt ?? null,
    scheduled_for: job.scheduledFor ?? null,
  }
}

/** Inserts those whose key is not taken, each with the event that says so. */
async function insertFree(tx: Database, rows: ReturnType<typeof rowOf>[]): Promise<CountedJob[]> {
  if (rows.length === 0) return []
  const inserted = await tx.execute<{ id: string; transaction_id: string }>(sql`
    insert into ${jobs} (id, operation, status, trigger, input, instance_id, vault_id, server_id, recovery_point_id,
      instance_name, policy_name, exclusive_key, lanes, max_attempts, created_at, created_by, run_at, scheduled_for,
      event_sequence)
    select id, operation, 'QUEUED', trigger, coalesce(input, 'null'), instance_id, vault_id, server_id, recovery_point_id,
      instance_name, policy_name, exclusive_key, lanes, max_attempts, created_at, created_by,
      coalesce(run_at, ${databaseNow}), scheduled_for, 1
    from ${recordset(jobs, rows)}
    on conflict (exclusive_key) where ${isPending} do nothing
    returning id, event_transaction_id::text as transaction_id`)
  const added = new Map(inserted.map((each) => [each.id, BigInt(each.transaction_id)]))
  const jobsAdded = rows.flatMap(({ id, created_at: createdAt }) => {
    const eventTransactionId = added.get(id)
    if (eventTransactionId === undefined) return []
    return [{ id, createdAt, eventSequence: 1, eventTransactionId, status: 'QUEUED' as const, attempt: 0 }]
  })
  for (const each of Map.groupBy(jobsAdded, ({ createdAt }) => createdAt.getTime()).values()) {
    await appendEvents(tx, each, [{ type: 'QUEUED' }], each[0]?.createdAt)
  }
  if (jobsAdded.length > 0) await announce(tx, queueChannel)
  return jobsAdded
}

/** The pending jobs that hold the keys of these, by key. */
async function pendingJobs(
  tx: Database,
  rows: readonly { exclusive_key: string | null }[],
): Promise<Map<string, string>> {
  const keys = rows.flatMap(({ exclusive_key: key }) => key ?? [])
  if (keys.length === 0) return new Map()
  const wanted = sql`(select jsonb_array_elements_text(${JSON.stringify(keys)}::text::jsonb))`
  const holders = await tx
    .select({ id: jobs.id, key: jobs.exclusiveKey })
    .from(jobs)
    .where(and(sql`${jobs.exclusiveKey} in ${wanted}`, isPending))
  return new Map(holders.flatMap(({ id, key }) => (key === null ? [] : [[key, id]])))
}

/** As enqueueJob, but where the exclusive key is taken the job that holds it is answered. */
export async function enqueueOrFind(tx: Database, job: NewJob): Promise<JobRow> {
  try {
    return await enqueueJob(tx, job)
  } catch (cause) {
    const pending = cause instanceof PendingJobExists ? (await findJobs(tx, [cause.jobId])).get(cause.jobId) : undefined
    if (!pending) throw cause
    return pending
  }
}
