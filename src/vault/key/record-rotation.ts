import { and, eq, inArray, isNull, notExists, or, sql } from 'drizzle-orm'
import { recordAudit } from '../../audit/record.ts'
import type { Database } from '../../database/connect.ts'
import { jobs } from '../../database/tables/job.ts'
import { recoveryPoints } from '../../database/tables/recovery-point.ts'
import { vaults } from '../../database/tables/vault.ts'
import { vaultKeys } from '../../database/tables/vault-key.ts'
import { isPending } from '../../job/states.ts'

export interface RecordNewKey {
  vaultId: string
  /** The key that was the vault's own until now. */
  from: string
  /** The one that was to come. */
  to: string
  jobId: string
  now: Date
}

/**
 * Makes the key that was to come the vault's own: what is begun from now on is sealed for it, and its recovery key can be
 * exported. The key before it is kept. Only once the vault's place says so too; nothing happens when it was done before.
 */
export async function recordNewKey(database: Database, { vaultId, from, to, jobId, now }: RecordNewKey): Promise<void> {
  await database.transaction(async (tx) => {
    const [vault] = await tx.select().from(vaults).where(eq(vaults.id, vaultId)).for('no key update')
    const isNext = and(eq(vaultKeys.vaultId, vaultId), eq(vaultKeys.recipient, to), eq(vaultKeys.state, 'NEXT'))
    const [next] = await tx.delete(vaultKeys).where(isNext).returning()
    if (vault?.recipient !== from || !next) return
    // What was recorded before keys could change is sealed for the first one.
    await tx
      .update(recoveryPoints)
      .set({ recipient: from })
      .where(and(eq(recoveryPoints.vaultId, vaultId), isNull(recoveryPoints.recipient)))
    await tx.insert(vaultKeys).values({
      vaultId,
      recipient: from,
      sealedIdentity: vault.sealedIdentity,
      state: 'FORMER',
      createdAt: vault.recipientSince ?? vault.createdAt,
      retiredAt: now,
    })
    await tx
      .update(vaults)
      .set({ recipient: to, sealedIdentity: next.sealedIdentity, recipientSince: now, recoveryKeyExportedAt: null })
      .where(eq(vaults.id, vaultId))
    await recordAudit(tx, {
      actor: 'holdfast',
      action: 'vaultKeyChanged',
      subject: { kind: 'Vault', id: vaultId, name: vault.name },
      before: { recipient: from, recoveryKeyExportedAt: vault.recoveryKeyExportedAt?.toISOString() ?? null },
      after: { recipient: to, recoveryKeyExportedAt: null },
      detail: { job: jobId },
      now,
    })
  })
}

/**
 * Makes a key the vault's own that a rotation which the catalogue knows nothing of has made that in the vault's place, as
 * after a recovery from an older copy. Whoever gave it has its recovery key.
 */
export async function recordFoundKey(
  database: Database,
  { vaultId, to, sealedIdentity, jobId, now }: Omit<RecordNewKey, 'from'> & { sealedIdentity: string },
): Promise<void> {
  await database.transaction(async (tx) => {
    const [vault] = await tx.select().from(vaults).where(eq(vaults.id, vaultId)).for('no key update')
    if (!vault || vault.recipient === to) return
    // A key that was to come then has come and gone since, or never came.
    await tx.delete(vaultKeys).where(and(eq(vaultKeys.vaultId, vaultId), eq(vaultKeys.state, 'NEXT')))
    await tx.insert(vaultKeys).values({ vaultId, recipient: to, sealedIdentity, state: 'NEXT', createdAt: now })
    await recordNewKey(tx, { vaultId, from: vault.recipient, to, jobId, now })
    await tx.update(vaults).set({ recoveryKeyExportedAt: now }).where(eq(vaults.id, vaultId))
  })
}

/**
 * Forgets former keys of a vault that no recovery point is sealed for any more. None is forgotten while something is being
 * written or imported there: that may have begun with such a key. In the vault itself they stay, sealed for the present one.
 */
export async function forgetUnusedKeys(tx: Database, vaultId: string): Promise<void> {
  const writing = tx
    .select({ one: sql`1` })
    .from(jobs)
    .where(
      and(
        eq(jobs.vaultId, vaultId),
        inArray(jobs.operation, ['BACKUP', 'COPY', 'IMPORT_VAULT', 'BACK_UP_METADATA']),
        isPending,
      ),
    )
  const sealed = tx
    .select({ one: sql`1` })
    .from(recoveryPoints)
    .where(
      and(
        eq(recoveryPoints.vaultId, vaultId),
        or(
          eq(recoveryPoints.recipient, vaultKeys.recipient),
          eq(recoveryPoints.manifestRecipient, vaultKeys.recipient),
        ),
      ),
    )
  await tx
    .delete(vaultKeys)
    .where(and(eq(vaultKeys.vaultId, vaultId), eq(vaultKeys.state, 'FORMER'), notExists(writing), notExists(sealed)))
}
