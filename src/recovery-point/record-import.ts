import { and, asc, eq, gt, isNull, ne, notExists, sql } from 'drizzle-orm'
import { alias } from 'drizzle-orm/pg-core'
import type { Database } from '../database/connect.ts'
import { jobs } from '../database/tables/job.ts'
import { recoveryPoints } from '../database/tables/recovery-point.ts'
import { findInstances } from '../instance/find.ts'
import { isPending } from '../job/states.ts'
import { findRecoveryPoints, isOriginal } from './find.ts'
import type { RecoveryPoint } from './recovery-point.ts'

export type ImportedPoint = Omit<
  typeof recoveryPoints.$inferInsert,
  'state' | 'proof' | 'provenAt' | 'jobId' | 'copyOfId' | 'copiedAt'
> & {
  /** The point that it was made as a second copy of, as its manifest says; undefined for an original. */
  copyOfId: string | undefined
  /** The backup that made it, as its folder says; the catalogue may not know it. */
  backupJobId: string
  now: Date
}

/** What became of a point that was found in its vault. */
export type PointImport =
  | 'IMPORTED'
  /** The catalogue has it. */
  | 'KNOWN'
  /** Its backup has not ended, and will record it. */
  | 'BEING_MADE'
  /** It is no copy, and the catalogue has its instance in another vault, protected. */
  | 'ELSEWHERE'
  /** The catalogue has its id or its folder for another one, or has a copy of the same point in that vault. */
  | 'CLASHES'

/**
 * Adds a point that was found in its vault, with nothing shown of it but that it is there; one that is known is left as it is.
 * What was made as a second copy is one where its instance or its original is known elsewhere; where it is all there is, it
 * stands for its original. The instance is locked.
 */
export async function importPoint(
  tx: Database,
  { backupJobId, copyOfId, now, ...point }: ImportedPoint,
): Promise<PointImport> {
  const [job] = await tx
    .select({ id: jobs.id, isPending: sql<boolean>`${isPending}`, instanceId: jobs.instanceId })
    .from(jobs)
    .where(and(eq(jobs.id, backupJobId), eq(jobs.operation, 'BACKUP')))
  if (job?.isPending) return 'BEING_MADE'
  const [instance] = await findInstances(tx, [point.instanceId])
  const isElsewhere = instance?.vaultId !== point.vaultId
  // Nobody's vault makes a protected instance seem backed up: without a twin of it there, its protection has to be stopped.
  const isSafe = copyOfId !== undefined || !isElsewhere || instance?.state === 'PROTECTION_STOPPED'
  if (!isSafe && (await tx.$count(recoveryPoints, isTwinOf(point))) === 0) return 'ELSEWHERE'
  const isCopy = copyOfId !== undefined && (isElsewhere || (await findRecoveryPoints(tx, [copyOfId])).length > 0)
  // A later attempt may have made another point: in a catalogue that was set back, the job was done again.
  const isItsOwn =
    job?.instanceId === point.instanceId && (await tx.$count(recoveryPoints, eq(recoveryPoints.jobId, job.id))) === 0
  const [added] = await tx
    .insert(recoveryPoints)
    .values({
      ...point,
      // Nothing tells when it was copied: not before that.
      ...(isCopy && { copyOfId, copiedAt: point.createdAt }),
      jobId: isItsOwn ? backupJobId : null,
      state: 'AVAILABLE',
      proof: 'WRITTEN',
      provenAt: now,
    })
    .onConflictDoNothing()
    .returning({ id: recoveryPoints.id })
  if (added) return 'IMPORTED'
  const [known] = await findRecoveryPoints(tx, [point.id])
  return known?.prefix === point.prefix ? 'KNOWN' : 'CLASHES'
}

/** What was imported and holds the very backup that a point is of, in another vault, without being known as its copy. */
function isTwinOf(point: Pick<ImportedPoint, 'instanceId' | 'vaultId' | 'createdAt' | 'pointInTime' | 'sourceBytes'>) {
  const { instanceId, vaultId, createdAt, pointInTime, sourceBytes } = recoveryPoints
  return and(
    eq(instanceId, point.instanceId),
    ne(vaultId, point.vaultId),
    eq(createdAt, point.createdAt),
    eq(pointInTime, point.pointInTime),
    eq(sourceBytes, point.sourceBytes),
    isOriginal,
    isNull(recoveryPoints.jobId),
  )
}

/**
 * Makes those points its second copies that stood for an original until that was imported: they hold the same backup, in
 * other vaults, one in each. Answers the ids of these vaults. The instance is locked.
 */
export async function linkCopies(tx: Database, originalId: string): Promise<string[]> {
  const [original] = await findRecoveryPoints(tx, [originalId])
  if (!original || original.copyOfId !== null) return []
  const copy = alias(recoveryPoints, 'copy')
  const isCopied = tx
    .select({ one: sql`1` })
    .from(copy)
    .where(and(eq(copy.copyOfId, originalId), eq(copy.vaultId, recoveryPoints.vaultId)))
  const twins = await tx
    .selectDistinctOn([recoveryPoints.vaultId], { id: recoveryPoints.id, vaultId: recoveryPoints.vaultId })
    .from(recoveryPoints)
    .where(and(isTwinOf(original), notExists(isCopied)))
    .orderBy(recoveryPoints.vaultId, recoveryPoints.id)
  for (const { id } of twins) {
    const copied = { copyOfId: originalId, copiedAt: original.createdAt }
    await tx.update(recoveryPoints).set(copied).where(eq(recoveryPoints.id, id))
  }
  return twins.map(({ vaultId }) => vaultId)
}

/** The next points of a vault, by their ids, of which nothing is shown but that they are there. */
export async function findPointsToReadBack(
  database: Database,
  { vaultId, after, limit }: { vaultId: string; after: string | null; limit: number },
): Promise<RecoveryPoint[]> {
  return database
    .select()
    .from(recoveryPoints)
    .where(
      and(
        eq(recoveryPoints.vaultId, vaultId),
        eq(recoveryPoints.state, 'AVAILABLE'),
        eq(recoveryPoints.proof, 'WRITTEN'),
        after === null ? undefined : gt(recoveryPoints.id, after),
      ),
    )
    .orderBy(asc(recoveryPoints.id))
    .limit(limit)
}
