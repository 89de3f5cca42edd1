import { and, eq, notExists, sql } from 'drizzle-orm'
import { alias } from 'drizzle-orm/pg-core'
import { recordAudit } from '../../audit/record.ts'
import type { Database } from '../../database/connect.ts'
import { backupInstances } from '../../database/tables/backup-instance.ts'
import { jobs } from '../../database/tables/job.ts'
import { findBuiltInPolicy } from '../../policy/find.ts'
import { nextExpiry, nextLook } from '../expiry/next-expiry.ts'
import type { BackupInstance } from '../instance.ts'
import { standstillIn } from '../states.ts'

export interface ImportedInstance {
  id: string
  name: string
  serverId: string
  vaultId: string
  createdAt: Date
  jobId: string
  now: Date
}

/**
 * Adds a backup instance that was found in its vault: stopped, so that nothing of it expires and no backup starts, under the
 * built-in policy until another is chosen, and under another name where its own is taken.
 */
export async function importInstance(
  tx: Database,
  { name, jobId, now, ...instance }: ImportedInstance,
): Promise<BackupInstance> {
  const policy = await findBuiltInPolicy(tx)
  if (!policy) throw new Error('There is no built-in policy.')
  for (let turn = 1; ; turn++) {
    const [added] = await tx
      .insert(backupInstances)
      .values({
        ...instance,
        name: turn === 1 ? name : `${name} (${turn})`,
        policyId: policy.id,
        policyVersion: policy.version,
        state: 'PROTECTION_STOPPED',
        stateSince: now,
        stopComment: 'Imported from its vault.',
      })
      .onConflictDoNothing({ target: backupInstances.name })
      .returning()
    if (!added) continue
    await recordAudit(tx, {
      actor: 'holdfast',
      action: 'recoveryPointsImported',
      subject: { kind: 'BackupInstance', id: added.id, name: added.name },
      after: { state: added.state, policy: policy.name },
      detail: { job: jobId },
      now,
    })
    return added
  }
}

/**
 * Makes the vault that its originals lie in the one that an instance is protected in, where only their copies had been found
 * before. Nothing happens where it is not stopped, has ever been backed up here, or its server has another instance there.
 */
export async function moveToOriginals(
  tx: Database,
  { instance, vaultId, jobId, now }: { instance: BackupInstance; vaultId: string; jobId: string; now: Date },
): Promise<void> {
  const other = alias(backupInstances, 'other')
  const namesake = tx
    .select({ one: sql`1` })
    .from(other)
    .where(and(eq(other.serverId, instance.serverId), eq(other.vaultId, vaultId)))
  const backup = tx
    .select({ one: sql`1` })
    .from(jobs)
    .where(and(eq(jobs.instanceId, instance.id), eq(jobs.operation, 'BACKUP')))
  const [moved] = await tx
    .update(backupInstances)
    .set({ vaultId })
    .where(
      and(
        eq(backupInstances.id, instance.id),
        eq(backupInstances.state, 'PROTECTION_STOPPED'),
        notExists(namesake),
        notExists(backup),
      ),
    )
    .returning()
  if (!moved) return
  await recordAudit(tx, {
    actor: 'holdfast',
    action: 'recoveryPointsImported',
    subject: { kind: 'BackupInstance', id: moved.id, name: moved.name },
    before: { vault: instance.vaultId },
    after: { vault: vaultId },
    detail: { job: jobId },
    now,
  })
}

/** Notes that an instance has points that were made known from its vault: they are looked at from now on as all others are. */
export async function recordImportedPoints(
  tx: Database,
  { instance, now }: { instance: BackupInstance; now: Date },
): Promise<void> {
  const { id, state } = instance
  if (state === 'SOFT_DELETED') return
  const expiryDueAt = standstillIn(state) ? nextLook(now) : nextExpiry(now)
  await tx.update(backupInstances).set({ expiryDueAt }).where(eq(backupInstances.id, id))
}
