import { and, asc, eq, inArray, sql } from 'drizzle-orm'
import type { Database } from '../../database/connect.ts'
import { recoveryPoints } from '../../database/tables/recovery-point.ts'
import { vaults } from '../../database/tables/vault.ts'
import { vaultKeys } from '../../database/tables/vault-key.ts'
import type { Vault } from '../vault.ts'

/** A key of a vault besides its present one: the one that is to come, or one that it had. */
export type VaultKeyRow = typeof vaultKeys.$inferSelect

/** One key of a vault as an operator sees it. */
export interface VaultKey {
  recipient: string
  createdAt: Date
  /** Since when nothing new is sealed for it; null for the present key, and for one that is to come. */
  retiredAt: Date | null
  isCurrent: boolean
  /** How many recovery points have artifacts that are sealed for it. */
  recoveryPointCount: number
}

/** The sealed secret keys that something in a vault may be sealed for: the present one first, then the former, newest first. */
export async function findSealedIdentities(database: Database, vaultId: string): Promise<string[]> {
  // One statement: a key that becomes the present one meanwhile is seen in one of its two places.
  const rows = await database.execute<{ sealed: string }>(sql`
    select sealed from (
      select sealed_identity as sealed, 0 as place, null::timestamptz as retired_at from ${vaults} where id = ${vaultId}
      union all
      select sealed_identity, 1, retired_at from ${vaultKeys} where vault_id = ${vaultId}
    ) as keys order by place, retired_at desc nulls first`)
  return rows.map(({ sealed }) => sealed)
}

/** The keys of a vault besides its present one, oldest first. */
export async function findOtherKeys(database: Database, vaultId: string): Promise<VaultKeyRow[]> {
  return database
    .select()
    .from(vaultKeys)
    .where(eq(vaultKeys.vaultId, vaultId))
    .orderBy(asc(vaultKeys.createdAt), asc(vaultKeys.recipient))
}

/** The keys of each of many vaults by the vault's id, the present one first; one that is to come is not among them. */
export async function findKeysOf(database: Database, found: readonly Vault[]): Promise<Map<string, VaultKey[]>> {
  if (found.length === 0) return new Map()
  const ids = found.map(({ id }) => id)
  const others = await database
    .select()
    .from(vaultKeys)
    .where(and(inArray(vaultKeys.vaultId, ids), eq(vaultKeys.state, 'FORMER')))
    .orderBy(sql`${vaultKeys.retiredAt} desc`)
  const recipient = sql<string>`coalesce(${recoveryPoints.recipient}, ${vaults.recipient})`
  const counts = await database
    .select({ vaultId: recoveryPoints.vaultId, recipient, count: sql`count(*)`.mapWith(Number) })
    .from(recoveryPoints)
    .innerJoin(vaults, eq(vaults.id, recoveryPoints.vaultId))
    .where(inArray(recoveryPoints.vaultId, ids))
    .groupBy(recoveryPoints.vaultId, recipient)
  const sealed = new Map(counts.map((each) => [`${each.vaultId} ${each.recipient}`, each.count]))
  return new Map(
    found.map((vault) => [
      vault.id,
      [presentKey(vault), ...others.filter(({ vaultId }) => vaultId === vault.id)].map((key) => ({
        recipient: key.recipient,
        createdAt: key.createdAt,
        retiredAt: key.retiredAt,
        isCurrent: key.recipient === vault.recipient,
        recoveryPointCount: sealed.get(`${vault.id} ${key.recipient}`) ?? 0,
      })),
    ]),
  )
}

function presentKey({ recipient, recipientSince, createdAt }: Vault) {
  return { recipient, createdAt: recipientSince ?? createdAt, retiredAt: null }
}
