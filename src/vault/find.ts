import { asc, eq, inArray } from 'drizzle-orm'
import type { Database } from '../database/connect.ts'
import { keyset, type Page, type PageRequest, pageOf } from '../database/page.ts'
import { vaults } from '../database/tables/vault.ts'
import type { Vault } from './vault.ts'

/** The vaults with these ids, in any order; ids of none are left out. */
export async function findVaults(database: Database, ids: readonly string[]): Promise<Vault[]> {
  if (ids.length === 0) return []
  return database
    .select()
    .from(vaults)
    .where(inArray(vaults.id, [...ids]))
}

/**
 * The vault, which stays as it is and where it is until the transaction ends: neither deleted nor its rules changed.
 * Undefined when there is none.
 */
export async function lockVault(tx: Database, vaultId: string): Promise<Vault | undefined> {
  const [vault] = await tx.select().from(vaults).where(eq(vaults.id, vaultId)).for('share')
  return vault
}

/** As lockVault, and nobody else has it locked so: for whoever adds to it what may be there only once. */
export async function lockVaultAlone(tx: Database, vaultId: string): Promise<Vault | undefined> {
  const [vault] = await tx.select().from(vaults).where(eq(vaults.id, vaultId)).for('no key update')
  return vault
}

/** The same for many vaults, locked in the order of their ids, as everywhere. */
export async function lockVaults(tx: Database, vaultIds: readonly string[]): Promise<Vault[]> {
  if (vaultIds.length === 0) return []
  return tx
    .select()
    .from(vaults)
    .where(inArray(vaults.id, [...vaultIds]))
    .orderBy(asc(vaults.id))
    .for('share')
}

/** One page of all vaults, newest first. */
export async function pageVaults(database: Database, { page }: { page: PageRequest }): Promise<Page<Vault>> {
  const { where, orderBy, limit } = keyset({ at: vaults.createdAt, id: vaults.id }, page)
  const rows = await database
    .select()
    .from(vaults)
    .where(where)
    .orderBy(...orderBy)
    .limit(limit)
  return pageOf(rows, page)
}

/** How many vaults there are. */
export async function countVaults(database: Database): Promise<number> {
  return database.$count(vaults)
}
