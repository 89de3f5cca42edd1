import { and, asc, eq, gt, isNull, sql } from 'drizzle-orm'
import type { Database } from '../database/connect.ts'
import { recoveryPoints } from '../database/tables/recovery-point.ts'
import type { RecoveryPoint } from './recovery-point.ts'

/** The next points of a vault, by their ids, whose manifest a key is not wrapped around yet; those being removed are left out. */
export async function findPointsToRewrap(
  database: Database,
  { vaultId, recipient, after, limit }: { vaultId: string; recipient: string; after: string | null; limit: number },
): Promise<RecoveryPoint[]> {
  return database
    .select()
    .from(recoveryPoints)
    .where(
      and(
        eq(recoveryPoints.vaultId, vaultId),
        isNull(recoveryPoints.sweepStartedAt),
        sql`coalesce(${recoveryPoints.manifestRecipient}, ${recoveryPoints.recipient}, '') <> ${recipient}`,
        after === null ? undefined : gt(recoveryPoints.id, after),
      ),
    )
    .orderBy(asc(recoveryPoints.id))
    .limit(limit)
}

/**
 * Writes down which manifest is about to take the place of a point's recorded one: readers take either from now on, and the
 * point is not removed while the job that rotates the key is pending. `present` is what lies there now. False when the point is being removed, or gone: then
 * nothing of it may be written.
 */
export async function announceManifest(
  database: Database,
  { recoveryPointId, present, next }: { recoveryPointId: string; present: string; next: string },
): Promise<boolean> {
  const announced = await database
    .update(recoveryPoints)
    .set({ manifestSha256: present, nextManifestSha256: next })
    .where(and(eq(recoveryPoints.id, recoveryPointId), isNull(recoveryPoints.sweepStartedAt)))
    .returning({ id: recoveryPoints.id })
  return announced.length > 0
}

/** Writes down that the announced manifest is the point's own now, with that key wrapped around it. */
export async function recordRewrap(
  database: Database,
  { recoveryPointId, storedSha256, recipient }: { recoveryPointId: string; storedSha256: string; recipient: string },
): Promise<void> {
  await database
    .update(recoveryPoints)
    .set({ manifestSha256: storedSha256, nextManifestSha256: null, manifestRecipient: recipient })
    .where(and(eq(recoveryPoints.id, recoveryPointId), eq(recoveryPoints.nextManifestSha256, storedSha256)))
}

export interface FoundRewrap {
  recoveryPointId: string
  /** The sha256 that the catalogue has. */
  recorded: string
  manifestSha256: string
  manifestRecipient: string
  recipient: string
  /** Files that were seen to be what they should be now: what was said of them before is taken back. */
  provenFiles: readonly string[]
}

/**
 * Writes down the manifest that rotations have made of a point's recorded one, of which the catalogue knows nothing, as after a
 * recovery from a copy that is older; a point that was suspect for that alone is available again. Only while the recorded one
 * is that still, and nothing of the point is being removed. Answers whether that was so.
 */
export async function recordFoundRewrap(
  tx: Database,
  { recoveryPointId, recorded, provenFiles, ...found }: FoundRewrap,
): Promise<boolean> {
  const isRecorded = and(eq(recoveryPoints.id, recoveryPointId), eq(recoveryPoints.manifestSha256, recorded))
  const [point] = await tx
    .select({ state: recoveryPoints.state, damage: recoveryPoints.damage, damageLevel: recoveryPoints.damageLevel })
    .from(recoveryPoints)
    .where(and(isRecorded, isNull(recoveryPoints.sweepStartedAt)))
    .for('update')
  if (!point) return false
  const damage = point.damage.filter((sentence) => !provenFiles.some((file) => sentence.startsWith(`${file} `)))
  const isCleared = damage.length === 0 && point.damage.length > 0
  await tx
    .update(recoveryPoints)
    .set({
      ...found,
      nextManifestSha256: null,
      damage,
      ...(isCleared && { damageLevel: null }),
      ...(isCleared && point.state === 'SUSPECT' && { state: 'AVAILABLE' }),
    })
    .where(eq(recoveryPoints.id, recoveryPointId))
  return true
}
