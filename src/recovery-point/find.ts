import { and, asc, eq, gte, inArray, isNotNull, isNull, lt, ne, or, type SQL, sql } from 'drizzle-orm'
import type { Database } from '../database/connect.ts'
import { keyset, type Page, type PageRequest, pageOf } from '../database/page.ts'
import { backupInstances } from '../database/tables/backup-instance.ts'
import { jobs } from '../database/tables/job.ts'
import { recoveryPoints } from '../database/tables/recovery-point.ts'
import { wanted, wantedId } from '../database/wanted.ts'
import type { BackupInstance } from '../instance/instance.ts'
import { OperationNotAllowed, startsFrom } from '../instance/states.ts'
import { isPending, pendingList } from '../job/states.ts'
import { NotFound } from '../refusal.ts'
import type { GuardedPoints } from '../retention/decide-expiry.ts'
import { damageOfContents, type ProofLevel, type RecoveryPoint, RecoveryPointBeingRemoved } from './recovery-point.ts'

/** Which points; what is left out does not matter, an empty list matches none. */
export interface RecoveryPointFilter {
  /** Any number of them. */
  ids?: readonly string[]
  instanceId?: string
  vaultId?: string
  /** Second copies alone, or originals alone. */
  isCopy?: boolean
  states?: readonly RecoveryPoint['state'][]
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

/** Whether a point is no second copy of another: what says how an instance's backups go. */
export const isOriginal: SQL = isNull(recoveryPoints.copyOfId)

/** The order of every list of points. */
export const byCreation = { at: recoveryPoints.createdAt, id: recoveryPoints.id }

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

/** The points that these jobs made, backups or copies, in any order; jobs that made none are left out. */
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

/** The points that hold the same as another one: its original and the copies of that, without itself. */
export function isTwinOf({ id, copyOfId }: Pick<RecoveryPoint, 'id' | 'copyOfId'>): SQL | undefined {
  const originalId = copyOfId ?? id
  return and(or(eq(recoveryPoints.id, originalId), eq(recoveryPoints.copyOfId, originalId)), ne(recoveryPoints.id, id))
}

/**
 * A point that can be restored from and holds the same as another one: its original or a copy of that, the newest copy first
 * and the original before all. Null when there is none, or when what was found is wrong with all that hold the same.
 */
export async function findAvailableTwin(
  database: Database,
  point: Pick<RecoveryPoint, 'id' | 'copyOfId' | 'prefix' | 'damage' | 'damageLevel'>,
): Promise<RecoveryPoint | null> {
  if (damageOfContents(point).length > 0) return null
  const [twin] = await database
    .select()
    .from(recoveryPoints)
    .where(and(isTwinOf(point), eq(recoveryPoints.state, 'AVAILABLE')))
    .orderBy(sql`${recoveryPoints.copiedAt} desc nulls first`, asc(recoveryPoints.id))
    .limit(1)
  return twin ?? null
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

/** What reads a recovery point, and keeps it there until it has ended. */
const readers = ['RESTORE', 'VERIFY', 'VALIDATE_RESTORE', 'COPY'] as const
const readerList = sql.raw(readers.map((operation) => `'${operation}'`).join(', '))

/** Whether the manifest of a point is being re-wrapped for another key: part of a statement on the points. */
const isBeingRewrapped = sql`(recovery_points.next_manifest_sha256 is not null and exists (select 1 from jobs
  where jobs.vault_id = recovery_points.vault_id and operation = 'ROTATE_KEY'
    and status in (${pendingList})))`

/**
 * Whether a restore, its validation, a verification or a copy reads a point, or will as soon as it is its turn, or another key
 * is being wrapped around its manifest: part of a statement on the points.
 */
export const isBeingRead: SQL<boolean> = sql<boolean>`(exists (select 1 from jobs
  where jobs.recovery_point_id = recovery_points.id and operation in (${readerList})
    and status in (${pendingList})) or ${isBeingRewrapped})`

/** Which of these points a reader or a rotation of the vault's key uses, or will as soon as it is its turn. */
export async function findPointsBeingRead(tx: Database, ids: readonly string[]): Promise<Set<string>> {
  if (ids.length === 0) return new Set()
  const rows = await tx
    .select({ id: jobs.recoveryPointId })
    .from(jobs)
    .where(and(inArray(jobs.recoveryPointId, [...ids]), inArray(jobs.operation, [...readers]), isPending))
  const rewrapped = await tx
    .select({ id: recoveryPoints.id })
    .from(recoveryPoints)
    .where(and(inArray(recoveryPoints.id, [...ids]), isBeingRewrapped))
  return new Set([...rows, ...rewrapped].flatMap(({ id }) => (id === null ? [] : [id])))
}

/**
 * The vaults that each wanted instance has points in, as rows of a lateral query named `place`: found one after the other by
 * their index, however many points there are.
 */
const placesOfWanted: SQL = sql`lateral (
  with recursive place (vault_id) as (
    (select vault_id from recovery_points where instance_id = ${wantedId} order by vault_id limit 1)
    union all
    select (select vault_id from recovery_points where instance_id = ${wantedId} and vault_id > place.vault_id order by vault_id limit 1)
    from place where place.vault_id is not null
  )
  select vault_id from place where vault_id is not null) as place`

/** The vaults that each of many instances has points in, its own or second copies, by instance id; those without points are left out. */
export async function findPlaces(database: Database, instanceIds: readonly string[]): Promise<Map<string, string[]>> {
  if (instanceIds.length === 0) return new Map()
  const rows = await database.execute<{ instance: string; vault: string }>(
    sql`select ${wantedId} as instance, vault_id as vault from ${wanted(instanceIds)} cross join ${placesOfWanted}`,
  )
  const found = Map.groupBy(rows, ({ instance }) => instance)
  return new Map([...found].map(([instance, places]) => [instance, places.map(({ vault }) => vault)]))
}

/**
 * The points of each of many instances that no expiry may take, by instance id and then by vault id. With `marked`, points
 * that are marked but not being swept count as what they were before: what would be guarded if every mark were taken back.
 */
export async function findGuardedPoints(
  tx: Database,
  instanceIds: readonly string[],
  { marked = false }: { marked?: boolean } = {},
): Promise<Map<string, Map<string, GuardedPoints>>> {
  if (instanceIds.length === 0) return new Map()
  const isMarked = sql`state = 'REMOVING' and sweep_started_at is null`
  const available = marked ? sql`(state = 'AVAILABLE' or (${isMarked} and damage = '[]'))` : sql`state = 'AVAILABLE'`
  const suspect = marked ? sql`(state = 'SUSPECT' or (${isMarked} and damage <> '[]'))` : sql`state = 'SUSPECT'`
  const newest = (which: SQL, order: SQL = sql`created_at desc, id desc`) =>
    sql`(select id from recovery_points where instance_id = ${wantedId} and recovery_points.vault_id = place.vault_id
      and ${which} order by ${order} limit 1)`
  // The newest SUSPECT point is looked for only where none is AVAILABLE: mostly there is none, and all points would be read.
  const rows = await tx.execute<{ instance: string; vault: string; restorable: string | null; best: string | null }>(
    sql`select ${wantedId} as instance, place.vault_id as vault, coalesce(${newest(available)}, ${newest(suspect)}) as restorable,
      ${newest(available, sql`proof desc, created_at desc, id desc`)} as best
      from ${wanted(instanceIds)} cross join ${placesOfWanted}`,
  )
  const found = Map.groupBy(rows, ({ instance }) => instance)
  const guardedIn = (places: (typeof rows)[number][]) =>
    new Map(places.map(({ vault, restorable, best }) => [vault, { newestRestorable: restorable, bestProven: best }]))
  return new Map([...found].map(([instance, places]) => [instance, guardedIn(places)]))
}

/** The condition that a filter puts on points. */
export function pointsMatching(filter: RecoveryPointFilter): SQL | undefined {
  return and(
    // One parameter, however many ids there are.
    filter.ids && sql`${recoveryPoints.id} = any(${`{${filter.ids.join(',')}}`}::text::uuid[])`,
    filter.instanceId !== undefined ? eq(recoveryPoints.instanceId, filter.instanceId) : undefined,
    filter.vaultId !== undefined ? eq(recoveryPoints.vaultId, filter.vaultId) : undefined,
    filter.isCopy !== undefined ? (filter.isCopy ? isNotNull(recoveryPoints.copyOfId) : isOriginal) : undefined,
    filter.states && inArray(recoveryPoints.state, [...filter.states]),
    filter.tags && inArray(recoveryPoints.tag, [...filter.tags]),
    filter.minProof && gte(recoveryPoints.proof, filter.minProof),
    filter.createdAfter && gte(recoveryPoints.createdAt, filter.createdAfter),
    filter.createdBefore && lt(recoveryPoints.createdAt, filter.createdBefore),
    filter.expiresBefore && lt(recoveryPoints.expiresAt, filter.expiresBefore),
  )
}
