import { and, asc, desc, eq, inArray, type SQL } from 'drizzle-orm'
import type { Database } from '../database/connect.ts'
import { keyset, type Page, type PageRequest, pageOf } from '../database/page.ts'
import { backupPolicies, policyVersions } from '../database/tables/policy.ts'
import type { BackupPolicy, PolicyVersion } from './policy.ts'

/** The policies with these ids, in any order; ids of none are left out. */
export async function findPolicies(database: Database, ids: readonly string[]): Promise<BackupPolicy[]> {
  if (ids.length === 0) return []
  return read(database, inArray(backupPolicies.id, [...ids]))
}

/**
 * The policy as it is now, which then neither is revised nor deleted before the transaction ends: for whoever makes an
 * instance follow it. Lock it before the instance. Undefined when there is none.
 */
export async function lockPolicy(tx: Database, policyId: string): Promise<BackupPolicy | undefined> {
  return lock(tx, policyId, 'share')
}

/** As lockPolicy, and nobody else makes an instance follow it either: for whoever revises or deletes it. */
export async function lockPolicyAlone(tx: Database, policyId: string): Promise<BackupPolicy | undefined> {
  return lock(tx, policyId, 'update')
}

async function lock(tx: Database, policyId: string, strength: 'share' | 'update'): Promise<BackupPolicy | undefined> {
  await tx.select({ id: backupPolicies.id }).from(backupPolicies).where(eq(backupPolicies.id, policyId)).for(strength)
  // A statement of its own: a revision that was waited for is seen only by the next one.
  const [policy] = await findPolicies(tx, [policyId])
  return policy
}

/** The policy that Holdfast itself made at its first start; undefined before that. */
export async function findBuiltInPolicy(database: Database): Promise<BackupPolicy | undefined> {
  const [builtIn] = await read(database, eq(backupPolicies.isBuiltIn, true))
    .orderBy(asc(backupPolicies.createdAt), asc(backupPolicies.id))
    .limit(1)
  return builtIn
}

/** One page of all policies, newest first. */
export async function pagePolicies(database: Database, { page }: { page: PageRequest }): Promise<Page<BackupPolicy>> {
  const { where, orderBy, limit } = keyset({ at: backupPolicies.createdAt, id: backupPolicies.id }, page)
  const rows = await read(database, where)
    .orderBy(...orderBy)
    .limit(limit)
  return pageOf(rows, page)
}

/** How many policies there are. */
export async function countPolicies(database: Database): Promise<number> {
  return database.$count(backupPolicies)
}

/** All versions of each of many policies, newest first, by policy id. */
export async function findPolicyVersions(
  database: Database,
  policyIds: readonly string[],
): Promise<Map<string, PolicyVersion[]>> {
  if (policyIds.length === 0) return new Map()
  const rows = await database
    .select()
    .from(policyVersions)
    .where(inArray(policyVersions.policyId, [...policyIds]))
    .orderBy(desc(policyVersions.version))
  return Map.groupBy(rows, (version) => version.policyId)
}

function read(database: Database, where: SQL | undefined) {
  return database
    .select({
      id: backupPolicies.id,
      name: backupPolicies.name,
      version: backupPolicies.version,
      isBuiltIn: backupPolicies.isBuiltIn,
      createdAt: backupPolicies.createdAt,
      rules: policyVersions,
    })
    .from(backupPolicies)
    .innerJoin(
      policyVersions,
      and(eq(policyVersions.policyId, backupPolicies.id), eq(policyVersions.version, backupPolicies.version)),
    )
    .where(where)
    .$dynamic()
}
