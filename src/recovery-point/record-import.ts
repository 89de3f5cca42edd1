import { and, asc, eq, gt, sql } from 'drizzle-orm'
import type { Database } from '../database/connect.ts'
import { jobs } from '../database/tables/job.ts'
import { recoveryPoints } from '../database/tables/recovery-point.ts'
import { isPending } from '../job/states.ts'
import { findRecoveryPoints } from './find.ts'
import type { RecoveryPoint } from './recovery-point.ts'

export type ImportedPoint = Omit<typeof recoveryPoints.$inferInsert, 'state' | 'proof' | 'provenAt' | 'jobId'> & {
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
  /** The catalogue has its id or its folder for another one. */
  | 'CLASHES'

/** Adds a point that was found in its vault, with nothing shown of it but that it is there; one that is known is left as it is. */
export async function importPoint(tx: Database, { backupJobId, now, ...point }: ImportedPoint): Promise<PointImport> {
  const [job] = await tx
    .select({ id: jobs.id, isPending: sql<boolean>`${isPending}`, instanceId: jobs.instanceId })
    .from(jobs)
    .where(and(eq(jobs.id, backupJobId), eq(jobs.operation, 'BACKUP')))
  if (job?.isPending) return 'BEING_MADE'
  const [added] = await tx
    .insert(recoveryPoints)
    .values({
      ...point,
      jobId: job?.instanceId === point.instanceId ? job.id : null,
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
