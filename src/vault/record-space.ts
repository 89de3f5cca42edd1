import { and, desc, eq, inArray, isNull, lt, or, sql } from 'drizzle-orm'
import type { Database } from '../database/connect.ts'
import { backupInstances } from '../database/tables/backup-instance.ts'
import { recoveryPoints } from '../database/tables/recovery-point.ts'
import { vaults } from '../database/tables/vault.ts'
import { recordNotification } from '../notification/record.ts'
import { isOriginal } from '../recovery-point/find.ts'
import type { Vault } from './vault.ts'

/** Vaults whose space was not looked at since that moment, at most so many. */
export async function findVaultsToMeasure(
  database: Database,
  { before, limit }: { before: Date; limit: number },
): Promise<Vault[]> {
  return database
    .select()
    .from(vaults)
    .where(or(isNull(vaults.spaceCheckedAt), lt(vaults.spaceCheckedAt, before)))
    .orderBy(sql`${vaults.spaceCheckedAt} asc nulls first`)
    .limit(limit)
}

/**
 * Writes down how much space a vault's storage has left, null where it cannot tell; and tells operators, once a day, when
 * that is less than the next two backups of all its instances take, by the size of their latest recovery points.
 */
export async function recordSpace(
  database: Database,
  { vaultId, freeBytes, now }: { vaultId: string; freeBytes: number | null; now: Date },
): Promise<void> {
  await database.transaction(async (tx) => {
    const [vault] = await tx
      .update(vaults)
      .set({ freeBytes, spaceCheckedAt: now })
      .where(eq(vaults.id, vaultId))
      .returning()
    if (!vault || freeBytes === null) return
    const neededBytes = 2 * (await latestBytes(tx, vaultId))
    if (freeBytes >= neededBytes) return
    await recordNotification(tx, {
      kind: 'VAULT_NEARLY_FULL',
      severity: 'WARNING',
      message: `Vault "${vault.name}" has ${sizeText(freeBytes)} left; two more backups of all its instances take about ${sizeText(neededBytes)}.`,
      recommendedActions: [
        'Free space where the vault is, or enlarge it.',
        'Keep recovery points for a shorter time, by a policy with a shorter retention.',
      ],
      about: { vaultId, name: vault.name },
      onceKey: `vault-nearly-full:${vaultId}:${now.toISOString().slice(0, 10)}`,
      now,
    })
  })
}

/** How much the latest recovery points of the instances take together that keep theirs, or second copies of them, in the vault; bytes. */
async function latestBytes(tx: Database, vaultId: string): Promise<number> {
  const latest = tx
    .select({ storedBytes: recoveryPoints.storedBytes })
    .from(recoveryPoints)
    .where(and(eq(recoveryPoints.instanceId, backupInstances.id), isOriginal))
    .orderBy(desc(recoveryPoints.createdAt), desc(recoveryPoints.id))
    .limit(1)
    .as('latest')
  const [row] = await tx
    .select({ total: sql`coalesce(sum(${latest.storedBytes}), 0)`.mapWith(Number) })
    .from(backupInstances)
    .innerJoinLateral(latest, sql`true`)
    .where(
      or(
        eq(backupInstances.vaultId, vaultId),
        inArray(
          backupInstances.vaultId,
          tx.select({ id: vaults.id }).from(vaults).where(eq(vaults.replicaId, vaultId)),
        ),
      ),
    )
  return row?.total ?? 0
}

/** A size for a sentence: 1,500,000 bytes are "1.5 MB". */
function sizeText(bytes: number): string {
  const units = ['bytes', 'kB', 'MB', 'GB', 'TB', 'PB']
  const power = Math.min(units.length - 1, Math.floor(Math.log10(Math.max(1, bytes)) / 3))
  return `${Number((bytes / 1000 ** power).toFixed(1))} ${units[power]}`
}
