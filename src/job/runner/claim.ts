import { and, asc, inArray, notInArray, type SQL, sql } from 'drizzle-orm'
import type { Database } from '../../database/connect.ts'
import { jobs } from '../../database/tables/job.ts'
import { changeJobs, databaseNow, type EventDraft, type JobChange } from '../change.ts'
import type { ClaimedJob } from '../handler.ts'
import { type Lease, leaseEnd } from '../lease/renew.ts'
import { attemptsSpent, isRunning, isWaiting, type JobOperation, type JobRow } from '../states.ts'

export interface ClaimRequest {
  workerId: string
  operations: readonly JobOperation[]
  /** How many jobs the worker has room for. */
  room: number
  /** Jobs in a lane of this name count against a room of their own, and against no other. */
  aside?: { lane: string; room: number } | undefined
  /** How many jobs may run at once in a lane, by the lane's name: the part before its colon. A lane without a limit has none. */
  laneLimits: Readonly<Record<string, number>>
  leaseMs: number
}

export interface Claim {
  job: ClaimedJob
  lease: Lease
  /** Not to be performed: only to be cleaned up, then ended. */
  isCleanUp: boolean
}

/** Any number that no other program locks in this database. */
const claimLock = 7_305_804_385_370

/**
 * Claims the jobs that have waited longest and fit: their moment has come, and each of their lanes has room. Claims are
 * made one after another, by all workers, so that no limit is ever passed; a full lane holds up only its own jobs.
 */
export async function claimJobs(database: Database, request: ClaimRequest): Promise<Claim[]> {
  const { aside } = request
  if ((request.room < 1 && (aside?.room ?? 0) < 1) || request.operations.length === 0) return []
  return database.transaction(async (tx) => {
    // A statement of its own: the next one must see what the last claimer did.
    await tx.execute(sql`select pg_advisory_xact_lock(${claimLock})`)
    const running = await runningByLane(tx)
    const ordinary = await chooseJobs(tx, { ...request, among: aside && sql`not ${isIn(aside.lane)}` }, running)
    const others = aside ? await chooseJobs(tx, { ...request, room: aside.room, among: isIn(aside.lane) }, running) : []
    const chosen = [...ordinary, ...others]
    const heldUntil = performance.now() + request.leaseMs
    const performed = await take(
      tx,
      request,
      chosen.filter((job) => !needsCleanUp(job)),
      attemptStart,
      started,
    )
    const cleanedUp = await take(tx, request, chosen.filter(needsCleanUp), cleanUpStart, cleaningUp)
    const claimOf = (row: JobRow, isCleanUp: boolean): Claim => {
      const job = { ...row, workerId: request.workerId }
      const holder = { jobId: job.id, attempt: job.attempt, workerId: job.workerId }
      return { job, lease: { holder, heldUntil }, isCleanUp }
    }
    return [...performed.map((row) => claimOf(row, false)), ...cleanedUp.map((row) => claimOf(row, true))]
  })
}

/** A job that is not to be performed any more: cancelled, or lost by its workers until its attempts were used up. */
function needsCleanUp(job: JobRow): boolean {
  return job.cancelRequestedAt !== null || attemptsSpent(job) >= job.maxAttempts
}

const attemptStart: JobChange = {
  status: 'IN_PROGRESS',
  startedAt: sql`coalesce(${jobs.startedAt}, ${databaseNow})`,
  attemptStartedAt: databaseNow,
  bytesDone: 0,
  bytesTotal: null,
  rowsDone: 0,
  rowsTotal: null,
  progressAt: null,
  notes: [],
  warnings: [],
}
const started: EventDraft = { type: 'STARTED' }

const cleanUpStart: JobChange = {
  status: sql`case when ${jobs.cancelRequestedAt} is null then 'IN_PROGRESS' else 'CANCELLING' end::job_status`,
  cleanUps: sql`${jobs.cleanUps} + 1`,
}
const cleaningUp: EventDraft = { type: 'NOTED', data: { message: 'What lost attempts left is being removed.' } }

async function take(
  tx: Database,
  { workerId, leaseMs }: ClaimRequest,
  chosen: readonly JobRow[],
  change: JobChange,
  event: EventDraft,
): Promise<JobRow[]> {
  if (chosen.length === 0) return []
  const claim = { attempt: sql`${jobs.attempt} + 1`, workerId, leaseUntil: leaseEnd(leaseMs) }
  const ids = chosen.map(({ id }) => id)
  return changeJobs(tx, inArray(jobs.id, ids), { ...change, ...claim }, [event])
}

async function runningByLane(tx: Database): Promise<Map<string, number>> {
  const rows = await tx.execute<{ lane: string; running: number }>(
    sql`select lane, count(*)::int as running from ${jobs}, unnest(${jobs.lanes}) lane where ${isRunning} group by lane`,
  )
  return new Map(rows.map(({ lane, running }) => [lane, running]))
}

/** Whether a job is in a lane of that name. */
export function isInLane({ lanes }: Pick<JobRow, 'lanes'>, name: string): boolean {
  return lanes.some((lane) => nameOf(lane) === name)
}

function isIn(name: string): SQL {
  return sql`exists (select 1 from unnest(${jobs.lanes}) lane where split_part(lane, ':', 1) = ${name})`
}

function nameOf(lane: string): string {
  return lane.split(':', 1)[0] ?? ''
}

/** Chooses in order of time what fits, and counts it into the lanes; asks again while full lanes used up an answer. */
async function chooseJobs(
  tx: Database,
  { operations, room, laneLimits, among }: ClaimRequest & { among: SQL | undefined },
  running: Map<string, number>,
): Promise<JobRow[]> {
  const hasRoom = (lane: string) => (running.get(lane) ?? 0) < (laneLimits[nameOf(lane)] ?? Infinity)
  const chosen: JobRow[] = []
  for (let isSeen = false; chosen.length < room && !isSeen; ) {
    const wanted = room - chosen.length
    const full = [...running.keys()].filter((lane) => !hasRoom(lane))
    const candidates = await tx
      .select()
      .from(jobs)
      .where(
        and(
          isWaiting,
          sql`${jobs.runAt} <= statement_timestamp()`,
          inArray(jobs.operation, [...operations]),
          among,
          full.length === 0
            ? undefined
            : sql`not (${jobs.lanes} && array[${sql.join(
                full.map((lane) => sql`${lane}`),
                sql`, `,
              )}]::text[])`,
          chosen.length === 0
            ? undefined
            : notInArray(
                jobs.id,
                chosen.map(({ id }) => id),
              ),
        ),
      )
      .orderBy(asc(jobs.runAt), asc(jobs.id))
      .limit(wanted)
      .for('update', { skipLocked: true })
    for (const job of candidates) {
      if (!job.lanes.every(hasRoom)) continue
      for (const lane of job.lanes) running.set(lane, (running.get(lane) ?? 0) + 1)
      chosen.push(job)
    }
    isSeen = candidates.length < wanted
  }
  return chosen
}
