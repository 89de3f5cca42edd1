import { and, count, eq, inArray, type SQL, sql } from 'drizzle-orm'
import type { Database } from '../database/connect.ts'
import { keyset, type Page, type PageRequest, pageOf } from '../database/page.ts'
import { jobs } from '../database/tables/job.ts'
import {
  storageAccountResourceInstances as resourceInstances,
  storageAccounts,
  storageContainers,
} from '../database/tables/storage-account.ts'
import { wanted, wantedId } from '../database/wanted.ts'
import { isPending } from '../job/states.ts'
import type { ContainerContext, StorageAccount, StorageContainer } from './storage-account.ts'

/** Which accounts; what is left out does not matter. */
export interface StorageAccountFilter {
  /** A part of the name, in any case of its letters. */
  nameContains?: string
}

/** The accounts with these ids, in any order; ids of none are left out. */
export async function findStorageAccounts(database: Database, ids: readonly string[]): Promise<StorageAccount[]> {
  if (ids.length === 0) return []
  return database
    .select()
    .from(storageAccounts)
    .where(inArray(storageAccounts.id, [...ids]))
}

/** The containers with these ids, in any order; ids of none are left out. */
export async function findStorageContainers(database: Database, ids: readonly string[]): Promise<StorageContainer[]> {
  if (ids.length === 0) return []
  return database
    .select()
    .from(storageContainers)
    .where(inArray(storageContainers.id, [...ids]))
}

/** One page of the matching accounts, newest first. */
export async function pageStorageAccounts(
  database: Database,
  { filter = {}, page }: { filter?: StorageAccountFilter; page: PageRequest },
): Promise<Page<StorageAccount>> {
  const { where, orderBy, limit } = keyset({ at: storageAccounts.createdAt, id: storageAccounts.id }, page)
  const rows = await database
    .select()
    .from(storageAccounts)
    .where(and(accountsMatching(filter), where))
    .orderBy(...orderBy)
    .limit(limit)
  return pageOf(rows, page)
}

/** How many accounts match. */
export async function countStorageAccounts(database: Database, filter: StorageAccountFilter = {}): Promise<number> {
  return database.$count(storageAccounts, accountsMatching(filter))
}

/** The same page of the containers of each of many accounts, newest first, by account id. */
export async function pageContainersOf(
  database: Database,
  { accountIds, page }: { accountIds: readonly string[]; page: PageRequest },
): Promise<Map<string, Page<StorageContainer>>> {
  if (accountIds.length === 0) return new Map()
  const { where, orderBy, limit } = keyset({ at: storageContainers.createdAt, id: storageContainers.id }, page)
  const part = database
    .select()
    .from(storageContainers)
    .where(and(sql`${storageContainers.storageAccountId} = ${wantedId}`, where))
    .orderBy(...orderBy)
    .limit(limit)
    .as('part')
  const rows = await database
    .select()
    .from(wanted(accountIds))
    .innerJoinLateral(part, sql`true`)
    .orderBy(...keyset({ at: part.createdAt, id: part.id }, page).orderBy)
  const found = Map.groupBy(
    rows.map((row) => row.part),
    (container) => container.storageAccountId,
  )
  return new Map(accountIds.map((id) => [id, pageOf(found.get(id) ?? [], page)]))
}

/** How many containers each of many accounts has, by account id; those without any are left out. */
export async function countContainersOf(
  database: Database,
  accountIds: readonly string[],
): Promise<Map<string, number>> {
  if (accountIds.length === 0) return new Map()
  const rows = await database
    .select({ id: storageContainers.storageAccountId, count: count() })
    .from(storageContainers)
    .where(inArray(storageContainers.storageAccountId, [...accountIds]))
    .groupBy(storageContainers.storageAccountId)
  return new Map(rows.map((row) => [row.id, row.count]))
}

/** The ids of the vaults that the rules of each of many accounts list, by account id; those that list none are left out. */
export async function findResourceInstances(
  database: Database,
  accountIds: readonly string[],
): Promise<Map<string, string[]>> {
  if (accountIds.length === 0) return new Map()
  const rows = await database
    .select()
    .from(resourceInstances)
    .where(inArray(resourceInstances.storageAccountId, [...accountIds]))
    .orderBy(resourceInstances.vaultId)
  const byAccount = Map.groupBy(rows, ({ storageAccountId }) => storageAccountId)
  return new Map([...byAccount].map(([id, listed]) => [id, listed.map(({ vaultId }) => vaultId)]))
}

/** A container with its account and the rules of that, as they are now; undefined when there is none. */
export async function findContainer(database: Database, containerId: string): Promise<ContainerContext | undefined> {
  const [container] = await findStorageContainers(database, [containerId])
  const [account] = container ? await findStorageAccounts(database, [container.storageAccountId]) : []
  if (!container || !account) return undefined
  const listed = await findResourceInstances(database, [account.id])
  return { container, account, resourceInstanceIds: listed.get(account.id) ?? [] }
}

/**
 * As findContainer, for a job that will write into the container, which is to be enqueued in the same transaction: until
 * that ends, neither container nor account is deleted and the account's rules stay as they are.
 */
export async function lockContainer(tx: Database, containerId: string): Promise<ContainerContext | undefined> {
  const [seen] = await findStorageContainers(tx, [containerId])
  if (!seen) return undefined
  // The account first, as every operation does.
  await tx.select().from(storageAccounts).where(eq(storageAccounts.id, seen.storageAccountId)).for('share')
  await tx.select().from(storageContainers).where(eq(storageContainers.id, containerId)).for('share')
  return findContainer(tx, containerId)
}

/** A restore into one of these containers that has not ended; undefined when there is none. */
export async function findPendingRestoreInto(
  tx: Database,
  containerIds: readonly string[],
): Promise<string | undefined> {
  if (containerIds.length === 0) return undefined
  const [restore] = await tx
    .select({ id: jobs.id })
    .from(jobs)
    .where(and(eq(jobs.operation, 'RESTORE'), isPending, inArray(targetContainerId, [...containerIds])))
    .limit(1)
  return restore?.id
}

/** The container in the request of a restore as files, where it names one. */
const targetContainerId = sql<string>`${jobs.input} -> 'target' ->> 'containerId'`

function accountsMatching({ nameContains }: StorageAccountFilter): SQL | undefined {
  return nameContains === undefined
    ? undefined
    : sql`strpos(lower(${storageAccounts.name}), lower(${nameContains})) > 0`
}
