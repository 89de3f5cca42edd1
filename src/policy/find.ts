import { asc, eq, inArray } from 'drizzle-orm'
import type { Database } from '../database/connect.ts'
import { keyset, type Page, type PageRequest, pageOf } from '../database/page.ts'
import { backupPolicies } from '../database/tables/policy.ts'
import type { BackupPolicy } from './policy.ts'

/** The policies with these ids, in any order; ids of none are left out. */
export async function findPolicies(database: Database, ids: readonly string[]): Promise<BackupPolicy[]> {
  if (ids.length === 0) return []
  return database
    .select()
    .from(backupPolicies)
    .where(inArray(backupPolicies.id, [...ids]))
}

/** The policy that Holdfast itself made at its first start; undefined before that. */
export async function findBuiltInPolicy(database: Database): Promise<BackupPolicy | undefined> {
  const [builtIn] = await database
    .select()
    .from(backupPolicies)
    .where(eq(backupPolicies.isBuiltIn, true))
    .orderBy(asc(backupPolicies.createdAt), asc(backupPolicies.id))
    .limit(1)
  return builtIn
}

/** One page of all policies, newest first. */
export async function pagePolicies(database: Database, { page }: { page: PageRequest }): Promise<Page<BackupPolicy>> {
  const { where, orderBy, limit } = keyset({ at: backupPolicies.createdAt, id: backupPolicies.id }, page)
  const rows = await database
    .select()
    .from(backupPolicies)
    .where(where)
    .orderBy(...orderBy)
    .limit(limit)
  return pageOf(rows, page)
}

/** How many policies there are. */
export async function countPolicies(database: Database): Promise<number> {
  return database.$count(backupPolicies)
}
