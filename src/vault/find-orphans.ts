import { and, count, inArray, sql } from 'drizzle-orm'
import type { Database } from '../database/connect.ts'
import { keysetByName, type Page, type PageRequest, pageOf } from '../database/page.ts'
import { vaultOrphans } from '../database/tables/vault.ts'
import { wanted, wantedId } from '../database/wanted.ts'

/** Where a vault and its catalogue disagree, as last seen. */
export type VaultOrphan = typeof vaultOrphans.$inferSelect

/** The same page of the orphans of each of many vaults, in the order of their folders, by vault id. */
export async function pageOrphansOf(
  database: Database,
  { vaultIds, page }: { vaultIds: readonly string[]; page: PageRequest },
): Promise<Map<string, Page<VaultOrphan>>> {
  if (vaultIds.length === 0) return new Map()
  const { where, orderBy, limit } = keysetByName(vaultOrphans.prefix, page, 'NAME_ASCENDING')
  const part = database
    .select()
    .from(vaultOrphans)
    .where(and(sql`${vaultOrphans.vaultId} = ${wantedId}`, where))
    .orderBy(...orderBy)
    .limit(limit)
    .as('part')
  const rows = await database
    .select()
    .from(wanted(vaultIds))
    .innerJoinLateral(part, sql`true`)
    .orderBy(...keysetByName(part.prefix, page, 'NAME_ASCENDING').orderBy)
  const found = Map.groupBy(
    rows.map((row) => row.part),
    (orphan) => orphan.vaultId,
  )
  return new Map(vaultIds.map((id) => [id, pageOf(found.get(id) ?? [], page)]))
}

/** How many orphans each of many vaults has, by vault id; those without any are left out. */
export async function countOrphansOf(database: Database, vaultIds: readonly string[]): Promise<Map<string, number>> {
  if (vaultIds.length === 0) return new Map()
  const rows = await database
    .select({ id: vaultOrphans.vaultId, count: count() })
    .from(vaultOrphans)
    .where(inArray(vaultOrphans.vaultId, [...vaultIds]))
    .groupBy(vaultOrphans.vaultId)
  return new Map(rows.map((row) => [row.id, row.count]))
}
