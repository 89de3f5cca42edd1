import { and, count, eq, inArray, isNull, lte, not, or, type SQL, sql } from 'drizzle-orm'
import type { PgColumn } from 'drizzle-orm/pg-core'
import type { Database } from '../database/connect.ts'
import {
  keyset,
  keysetByName,
  type NameOrder,
  type Page,
  type PageOrder,
  type PageRequest,
  pageOf,
} from '../database/page.ts'
import { backupInstances } from '../database/tables/backup-instance.ts'
import { wanted, wantedId } from '../database/wanted.ts'
import type { BackupInstance, ProtectionState } from './instance.ts'

/** Which instances; what is left out does not matter, an empty list matches none. */
export interface InstanceFilter {
  states?: readonly ProtectionState[]
  vaultId?: string
  serverId?: string
  policyId?: string
  health?: readonly BackupInstance['health'][]
  /** Overdue at that moment, or not. */
  overdue?: { at: Date; isOverdue: boolean }
  /** Anywhere in the name, whatever the case. */
  nameContains?: string
}

/** What an instance belongs to. */
export type InstanceParent = 'vault' | 'server' | 'policy'

const parents: Readonly<Record<InstanceParent, PgColumn>> = {
  vault: backupInstances.vaultId,
  server: backupInstances.serverId,
  policy: backupInstances.policyId,
}

/** The instances with these ids, in any order; ids of none are left out. */
export async function findInstances(database: Database, ids: readonly string[]): Promise<BackupInstance[]> {
  if (ids.length === 0) return []
  return database
    .select()
    .from(backupInstances)
    .where(inArray(backupInstances.id, [...ids]))
}

/** One page of the matching instances, newest first unless said otherwise. */
export async function pageInstances(
  database: Database,
  {
    filter = {},
    page,
    order = 'NEWEST_FIRST',
  }: { filter?: InstanceFilter; page: PageRequest; order?: PageOrder | NameOrder },
): Promise<Page<BackupInstance>> {
  const { where, orderBy, limit } =
    order === 'NEWEST_FIRST' || order === 'OLDEST_FIRST'
      ? keyset({ at: backupInstances.createdAt, id: backupInstances.id }, page, order)
      : keysetByName(backupInstances.name, page, order)
  const rows = await database
    .select()
    .from(backupInstances)
    .where(and(instancesMatching(filter), where))
    .orderBy(...orderBy)
    .limit(limit)
  return pageOf(rows, page)
}

/** How many instances match. */
export async function countInstances(database: Database, filter: InstanceFilter = {}): Promise<number> {
  return database.$count(backupInstances, instancesMatching(filter))
}

/** The same page of the instances of each of many vaults or servers, newest first, by the parent's id. */
export async function pageInstancesOf(
  database: Database,
  parent: InstanceParent,
  { parentIds, page }: { parentIds: readonly string[]; page: PageRequest },
): Promise<Map<string, Page<BackupInstance>>> {
  if (parentIds.length === 0) return new Map()
  const { where, orderBy, limit } = keyset({ at: backupInstances.createdAt, id: backupInstances.id }, page)
  const part = database
    .select()
    .from(backupInstances)
    .where(and(sql`${parents[parent]} = ${wantedId}`, where))
    .orderBy(...orderBy)
    .limit(limit)
    .as('part')
  const rows = await database
    .select()
    .from(wanted(parentIds))
    .innerJoinLateral(part, sql`true`)
    .orderBy(...keyset({ at: part.createdAt, id: part.id }, page).orderBy)
  const found = Map.groupBy(
    rows.map((row) => row.part),
    (instance) => instance[`${parent}Id`],
  )
  return new Map(parentIds.map((id) => [id, pageOf(found.get(id) ?? [], page)]))
}

/** How many instances each of many vaults or servers has, by the parent's id. */
export async function countInstancesOf(
  database: Database,
  parent: InstanceParent,
  parentIds: readonly string[],
): Promise<Map<string, number>> {
  if (parentIds.length === 0) return new Map()
  const rows = await database
    .select({ id: sql<string>`${parents[parent]}`, count: count() })
    .from(backupInstances)
    .where(inArray(parents[parent], [...parentIds]))
    .groupBy(parents[parent])
  return new Map(rows.map((row) => [row.id, row.count]))
}

function instancesMatching(filter: InstanceFilter): SQL | undefined {
  return and(
    filter.states && inArray(backupInstances.state, [...filter.states]),
    filter.vaultId !== undefined ? eq(backupInstances.vaultId, filter.vaultId) : undefined,
    filter.serverId !== undefined ? eq(backupInstances.serverId, filter.serverId) : undefined,
    filter.policyId !== undefined ? eq(backupInstances.policyId, filter.policyId) : undefined,
    filter.health && inArray(backupInstances.health, [...filter.health]),
    filter.overdue && (filter.overdue.isOverdue ? isOverdueAt(filter.overdue.at) : isNotOverdueAt(filter.overdue.at)),
    filter.nameContains !== undefined
      ? sql`strpos(lower(${backupInstances.name}), lower(${filter.nameContains})) > 0`
      : undefined,
  )
}

function isOverdueAt(now: Date): SQL {
  return lte(backupInstances.overdueAt, now)
}

function isNotOverdueAt(now: Date): SQL | undefined {
  return or(isNull(backupInstances.overdueAt), not(isOverdueAt(now)))
}
