import { and, count, desc, eq, gte, inArray, lt, type SQL, sql } from 'drizzle-orm'
import type { Database } from '../database/connect.ts'
import { keyset, type Page, type PageRequest, pageOf } from '../database/page.ts'
import { backupInstances } from '../database/tables/backup-instance.ts'
import { jobs } from '../database/tables/job.ts'
import { recoveryPoints } from '../database/tables/recovery-point.ts'
import { wanted, wantedId } from '../database/wanted.ts'
import type { BackupInstance } from '../instance/instance.ts'
import { OperationNotAllowed, startsFrom } from '../instance/states.ts'
import { isPending, type JobOperation } from '../job/states.ts'
import { NotFound } from '../refusal.ts'
import type { GuardedPoints } from '../retention/decide-expiry.ts'
import { type ProofLevel, type RecoveryPoint, RecoveryPointBeingRemoved } from './recovery-point.ts'

/** Which points; what is left out does not matter, an empty list matches none. */
export interface RecoveryPointFilter {
  /** Any number of them. */
  ids?: readonly string[]
  instanceId?: string
  tags?: readonly RecoveryPoint['tag'][]
  /** Shown good to this level at least. */
  minProof?: ProofLevel
  /** From this moment on. */
  createdAfter?: Date
  /** Before this moment, without it. */
  createdBefore?: Date
  /** Before this moment, without it. */
  expiresBefore?: Date
}

/** A recovery point with the backup instance it is of. */
export interface RecoveryPointContext {
  point: RecoveryPoint
  instance: BackupInstance
}

const byCreation = { at: recoveryPoints.createdAt, id: recoveryPoints.id }

/** The points with these ids, in any order; ids of none are left out. */
export async function findRecoveryPoints(database: Database, ids: readonly string[]): Promise<RecoveryPoint[]> {
  if (ids.length === 0) return []
  return database
    .select()
    .from(recoveryPoints)
    .where(inArray(recoveryPoints.id, [...ids]))
}

/** The points with these ids, each with its instance, in any order; ids of none are left out. */
export async function findRecoveryPointContexts(
  database: Database,
  ids: readonly string[],
): Promise<RecoveryPointContext[]> {
  if (ids.length === 0) return []
  return database
    .select({ point: recoveryPoints, instance: backupInstances })
    .from(recoveryPoints)
    .innerJoin(backupInstances, eq(backupInstances.id, recoveryPoints.instanceId))
    .where(inArray(recoveryPoints.id, [...ids]))
}

/**
 * The point with its instance, for a job that will read it, which is to be enqueued in the same transaction: until that
 * ends, the point is not chosen for removal and the instance is not deleted. Refuses a point on its way out and an instance
 * whose state does not allow the operation.
 */
export async function lockForReading(
  tx: Database,
  recoveryPointId: string,
  operation: 'RESTORE' | 'VERIFY_RECOVERY_POINT',
): Promise<RecoveryPointContext> {
  const [seen] = await findRecoveryPoints(tx, [recoveryPointId])
  if (!seen) throw new NotFound('recovery point')
  // The instance first, as every operation does.
  const [instance] = await tx.select().from(backupInstances).where(eq(backupInstances.id, seen.instanceId)).for('share')
  const [point] = await tx.select().from(recoveryPoints).where(eq(recoveryPoints.id, recoveryPointId)).for('share')
  if (!instance || !point) throw new NotFound('recovery point')
  if (!startsFrom(operation).includes(instance.state)) throw new OperationNotAllowed(operation, instance)
  if (point.state === 'REMOVING') throw new RecoveryPointBeingRemoved(point)
  return { point, instance }
}

/** The points that these backup jobs made, in any order; jobs that made none are left out. */
export async function findRecoveryPointsOfJobs(
  database: Database,
  jobIds: readonly string[],
): Promise<RecoveryPoint[]> {
  if (jobIds.length === 0) return []
  return database
    .select()
    .from(recoveryPoints)
    .where(inArray(recoveryPoints.jobId, [...jobIds]))
}

/** One page of the matching points in the order of their creation, newest first. */
export async function pageRecoveryPoints(
  database: Database,
  { filter = {}, page }: { filter?: RecoveryPointFilter; page: PageRequest },
): Promise<Page<RecoveryPoint>> {
  const { where, orderBy, limit } = keyset(byCreation, page)
  const rows = await database
    .select()
    .from(recoveryPoints)
    .where(and(pointsMatching(filter), where))
    .orderBy(...orderBy)
    .limit(limit)
  return pageOf(rows, page)
}

/** How many points match. */
export async function countRecoveryPoints(database: Database, filter: RecoveryPointFilter = {}): Promise<number> {
  return database.$count(recoveryPoints, pointsMatching(filter))
}

/** The same page of the points of each of many instances, newest first, by instance id. */
export async function pageRecoveryPointsOf(
  database: Database,
  { instanceIds, page }: { instanceIds: readonly string[]; page: PageRequest },
): Promise<Map<string, Page<RecoveryPoint>>> {
  if (instanceIds.length === 0) return new Map()
  const { where, orderBy, limit } = keyset(byCreation, page)
  const part = database
    .select()
    .from(recoveryPoints)
    .where(and(sql`${recoveryPoints.instanceId} = ${wantedId}`, where))
    .orderBy(...orderBy)
    .limit(limit)
    .as('part')
  const rows = await database
    .select()
    .from(wanted(instanceIds))
    .innerJoinLateral(part, sql`true`)
    .orderBy(...keyset({ at: part.createdAt, id: part.id }, page).orderBy)
  const found = Map.groupBy(
    rows.map((row) => row.part),
    (point) => point.instanceId,
  )
  return new Map(instanceIds.map((id) => [id, pageOf(found.get(id) ?? [], page)]))
}

/** The newest point of each of many instances, whatever its proof, by instance id; instances without one are left out. */
export async function findLatestRecoveryPoints(
  database: Database,
  instanceIds: readonly string[],
): Promise<Map<string, RecoveryPoint>> {
  if (instanceIds.length === 0) return new Map()
  const latest = database
    .select()
    .from(recoveryPoints)
    .where(sql`${recoveryPoints.instanceId} = ${wantedId}`)
    .orderBy(desc(recoveryPoints.createdAt), desc(recoveryPoints.id))
    .limit(1)
    .as('latest')
  const rows = await database.select().from(wanted(instanceIds)).innerJoinLateral(latest, sql`true`)
  return new Map(rows.map((row) => [row.latest.instanceId, row.latest]))
}

/** What is kept of a vault or an instance. */
export interface Holdings {
  pointCount: number
  storedBytes: number
}

/** How many points each of many vaults or instances has and how many bytes they take, by the parent's id; those without any are left out. */
export async function findHoldings(
  database: Database,
  parent: 'vault' | 'instance',
  parentIds: readonly string[],
): Promise<Map<string, Holdings>> {
  if (parentIds.length === 0) return new Map()
  const column = parent === 'vault' ? recoveryPoints.vaultId : recoveryPoints.instanceId
  const rows = await database
    .select({
      id: column,
      pointCount: count(),
      storedBytes: sql`sum(${recoveryPoints.storedBytes})`.mapWith(Number),
    })
    .from(recoveryPoints)
    .where(inArray(column, [...parentIds]))
    .groupBy(column)
  return new Map(rows.map(({ id, ...holdings }) => [id, holdings]))
}

/** The jobs that read the recovery point that they are about. */
const readers = ['RESTORE', 'VALIDATE_RESTORE', 'VERIFY', 'COPY'] as const satisfies JobOperation[]
const isReader = sql.raw(`operation in (${readers.map((operation) => `'${operation}'`).join(', ')})`)

/** Whether a job reads a point, or will as soon as it is its turn: part of a statement on the points. */
export const isBeingRead: SQL<boolean> = sql<boolean>`exists (select 1 from jobs
  where jobs.recovery_point_id = recovery_points.id and ${isReader}
    and status in ('QUEUED', 'IN_PROGRESS', 'CANCELLING'))`

/** Which of these points a job reads, or will as soon as it is its turn. */
export async function findPointsBeingRead(tx: Database, ids: readonly string[]): Promise<Set<string>> {
  if (ids.length === 0) return new Set()
  const rows = await tx
    .select({ id: jobs.recoveryPointId })
    .from(jobs)
    .where(and(inArray(jobs.recoveryPointId, [...ids]), inArray(jobs.operation, [...readers]), isPending))
  return new Set(rows.flatMap(({ id }) => (id === null ? [] : [id])))
}

/**
 * The points of each of many instances that no expiry may take, by instance id. With `marked`, points that are marked but
 * not being swept count as what they were before: what would be guarded if every mark were taken back.
 */
export async function findGuardedPoints(
  tx: Database,
  instanceIds: readonly string[],
  { marked = false }: { marked?: boolean } = {},
): Promise<Map<string, GuardedPoints>> {
  if (instanceIds.length === 0) return new Map()
  const isMarked = sql`state = 'REMOVING' and sweep_started_at is null`
  const available = marked ? sql`(state = 'AVAILABLE' or (${isMarked} and damage = '[]'))` : sql`state = 'AVAILABLE'`
  const suspect = marked ? sql`(state = 'SUSPECT' or (${isMarked} and damage <> '[]'))` : sql`state = 'SUSPECT'`
  const newest = (which: SQL, order: SQL = sql`created_at desc, id desc`) =>
    sql`(select id from recovery_points where instance_id = ${wantedId} and ${which} order by ${order} limit 1)`
  // The newest SUSPECT point is looked for only where none is AVAILABLE: mostly there is none, and all points would be read.
  const rows = await tx.execute<{ instance: string; restorable: string | null; best: string | null }>(
    sql`select ${wantedId} as instance, coalesce(${newest(available)}, ${newest(suspect)}) as restorable,
      ${newest(available, sql`proof desc, created_at desc, id desc`)} as best from ${wanted(instanceIds)}`,
  )
  return new Map(
    rows.map(({ instance, restorable, best }) => [instance, { newestRestorable: restorable, bestProven: best }]),
  )
}

function pointsMatching(filter: RecoveryPointFilter): SQL | undefined {
  return and(
    // One parameter, however many ids there are.
    filter.ids && sql`${recoveryPoints.id} = any(${`{${filter.ids.join(',')}}`}::text::uuid[])`,
    filter.instanceId !== undefined ? eq(recoveryPoints.instanceId, filter.instanceId) : undefined,
    filter.tags && inArray(recoveryPoints.tag, [...filter.tags]),
    filter.minProof && gte(recoveryPoints.proof, filter.minProof),
    filter.createdAfter && gte(recoveryPoints.createdAt, filter.createdAfter),
    filter.createdBefore && lt(recoveryPoints.createdAt, filter.createdBefore),
    filter.expiresBefore && lt(recoveryPoints.expiresAt, filter.expiresBefore),
  )
}
