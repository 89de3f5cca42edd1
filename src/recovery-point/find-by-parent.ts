import { and, count, desc, inArray, isNotNull, type SQL, sql } from 'drizzle-orm'
import type { Database } from '../database/connect.ts'
import { keyset, type Page, type PageRequest, pageOf } from '../database/page.ts'
import { recoveryPoints } from '../database/tables/recovery-point.ts'
import { wanted, wantedId } from '../database/wanted.ts'
import { byCreation, isOriginal, pointsMatching, type RecoveryPointFilter } from './find.ts'
import type { RecoveryPoint } from './recovery-point.ts'

/** Which of the points of an instance; what is left out does not matter. */
export type OwnPointFilter = Pick<RecoveryPointFilter, 'vaultId' | 'isCopy'>

/** The same page of the matching points of each of many instances, newest first, by instance id. */
export async function pageRecoveryPointsOf(
  database: Database,
  { instanceIds, filter, page }: { instanceIds: readonly string[]; filter: OwnPointFilter; page: PageRequest },
): Promise<Map<string, Page<RecoveryPoint>>> {
  if (instanceIds.length === 0) return new Map()
  const { where, orderBy, limit } = keyset(byCreation, page)
  const part = database
    .select()
    .from(recoveryPoints)
    .where(and(sql`${recoveryPoints.instanceId} = ${wantedId}`, pointsMatching(filter), where))
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

/** How many matching points each of many instances has, by instance id; those without any are left out. */
export async function countRecoveryPointsOf(
  database: Database,
  instanceIds: readonly string[],
  filter: OwnPointFilter,
): Promise<Map<string, number>> {
  if (instanceIds.length === 0) return new Map()
  const rows = await database
    .select({ id: recoveryPoints.instanceId, count: count() })
    .from(recoveryPoints)
    .where(and(inArray(recoveryPoints.instanceId, [...instanceIds]), pointsMatching(filter)))
    .groupBy(recoveryPoints.instanceId)
  return new Map(rows.map((row) => [row.id, row.count]))
}

/** The newest original of each of many instances, whatever its proof, by instance id; instances without one are left out. */
export async function findLatestRecoveryPoints(
  database: Database,
  instanceIds: readonly string[],
): Promise<Map<string, RecoveryPoint>> {
  if (instanceIds.length === 0) return new Map()
  const latest = database
    .select()
    .from(recoveryPoints)
    .where(and(sql`${recoveryPoints.instanceId} = ${wantedId}`, isOriginal))
    .orderBy(desc(recoveryPoints.createdAt), desc(recoveryPoints.id))
    .limit(1)
    .as('latest')
  const rows = await database.select().from(wanted(instanceIds)).innerJoinLateral(latest, sql`true`)
  return new Map(rows.map((row) => [row.latest.instanceId, row.latest]))
}

/** What is kept of a vault or an instance. */
export interface Holdings {
  /** Originals and, of a vault, second copies. */
  pointCount: number
  storedBytes: number
  /** How much second copies take among that, or beside it for an instance. */
  copiedBytes: number
}

/** How many points each of many vaults or instances has and how many bytes they take, by the parent's id; those without any are left out. */
export async function findHoldings(
  database: Database,
  parent: 'vault' | 'instance',
  parentIds: readonly string[],
): Promise<Map<string, Holdings>> {
  if (parentIds.length === 0) return new Map()
  const column = parent === 'vault' ? recoveryPoints.vaultId : recoveryPoints.instanceId
  const counted = parent === 'vault' ? sql`true` : isOriginal
  const bytesOf = (which: SQL) => sql`coalesce(sum(${recoveryPoints.storedBytes}) filter (where ${which}), 0)`
  const rows = await database
    .select({
      id: column,
      pointCount: sql`count(*) filter (where ${counted})`.mapWith(Number),
      storedBytes: bytesOf(counted).mapWith(Number),
      copiedBytes: bytesOf(isNotNull(recoveryPoints.copyOfId)).mapWith(Number),
    })
    .from(recoveryPoints)
    .where(inArray(column, [...parentIds]))
    .groupBy(column)
  return new Map(rows.map(({ id, ...holdings }) => [id, holdings]))
}
