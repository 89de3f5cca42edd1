import { and, eq, inArray, sql } from 'drizzle-orm'
import type { Database } from '../../database/connect.ts'
import { backupInstances } from '../../database/tables/backup-instance.ts'
import { recoveryPoints } from '../../database/tables/recovery-point.ts'
import { statesThatExpire } from '../../instance/states.ts'
import { NotFound } from '../../refusal.ts'
import { findVaults } from '../../vault/find.ts'
import { type ContainedDatabase, damageOfContents } from '../recovery-point.ts'
import { endOfCopy } from './copy.ts'

export interface RecordCopy {
  id: string
  originalId: string
  replicaId: string
  jobId: string
  prefix: string
  manifestSha256: string
  storedBytes: number
  /** The age recipient that it is sealed for. */
  recipient: string
  databases: ContainedDatabase[]
  /** When it had been read back. */
  now: Date
}

/**
 * Adds the second copy of a point, whose artifacts have been read back from the replica: a point of its own, made when its
 * original was, with an end by its own rule as that is now, and suspect where what the original holds is. Call it in the transaction that settles the copy's job.
 */
export async function recordCopy(tx: Database, { originalId, replicaId, now, ...copy }: RecordCopy): Promise<void> {
  const [seen] = await tx.select().from(recoveryPoints).where(eq(recoveryPoints.id, originalId))
  if (!seen) throw new NotFound('recovery point')
  await lookAtExpiryAgain(tx, seen.instanceId)
  const [original] = await tx
    .update(recoveryPoints)
    .set({ copyFailures: 0, copyRetryAt: null })
    .where(eq(recoveryPoints.id, originalId))
    .returning()
  const [vault] = await findVaults(tx, [seen.vaultId])
  if (!original || !vault) throw new NotFound('recovery point')
  const { instanceId, tag, policyName, policyVersion, isTagRequested, pointInTime, createdAt } = original
  const { serverVersionNumber, toolMajor, sourceBytes } = original
  const damage = damageOfContents(original)
  await tx.insert(recoveryPoints).values({
    ...copy,
    instanceId,
    vaultId: replicaId,
    // Found while it was being copied.
    ...(damage.length > 0 ? { state: 'SUSPECT', damage, damageLevel: 'RESTORED' } : { state: 'AVAILABLE' }),
    tag,
    policyName,
    policyVersion,
    isTagRequested,
    pointInTime,
    createdAt,
    expiresAt: endOfCopy(original, vault.replicaRetention),
    proof: 'READ_BACK',
    provenAt: now,
    serverVersionNumber,
    toolMajor,
    sourceBytes,
    copyOfId: originalId,
    copiedAt: now,
  })
}

/** A newer copy may set free one that was kept only for being the newest there. The instance is locked before its points. */
async function lookAtExpiryAgain(tx: Database, instanceId: string): Promise<void> {
  await tx
    .update(backupInstances)
    .set({
      expiryDueAt: sql`least(${backupInstances.expiryDueAt}, (select min(expires_at) from recovery_points
        where recovery_points.instance_id = ${backupInstances.id} and marked_at is null))`,
    })
    .where(and(eq(backupInstances.id, instanceId), inArray(backupInstances.state, [...statesThatExpire])))
}

/** How long a point that could not be copied waits before the clock tries it again: it doubles with each failure, ms. */
const firstPauseMs = 15 * 60_000
const longestPauseMs = 24 * 60 * 60_000

/** Notes that a point could not be copied, in the transaction that settles the job: it is tried again later. */
export async function recordCopyFailure(
  tx: Database,
  { recoveryPointId, now }: { recoveryPointId: string; now: Date },
): Promise<void> {
  const failures = recoveryPoints.copyFailures
  const pauseMs = sql`least(${firstPauseMs} * 2 ^ least(${failures}, 20), ${longestPauseMs})`
  await tx
    .update(recoveryPoints)
    .set({
      copyFailures: sql`${failures} + 1`,
      copyRetryAt: sql`${now.toISOString()}::timestamptz + ${pauseMs} * interval '1 millisecond'`,
    })
    .where(eq(recoveryPoints.id, recoveryPointId))
}
