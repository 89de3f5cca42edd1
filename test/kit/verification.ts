import { randomUUID } from 'node:crypto'
import { and, eq, inArray, sql } from 'drizzle-orm'
import type { Database } from '../../src/database/connect.ts'
import { backupInstances } from '../../src/database/tables/backup-instance.ts'
import { jobs } from '../../src/database/tables/job.ts'
import { policyVersions } from '../../src/database/tables/policy.ts'
import type { BackupInstance } from '../../src/instance/instance.ts'
import type { JobRow } from '../../src/job/states.ts'
import type { ProofRules } from '../../src/policy/policy.ts'
import { recordProof } from '../../src/recovery-point/record-proof.ts'
import { verifyRequestOf } from '../../src/recovery-point/recovery-point.ts'
import type { VerificationCandidate } from '../../src/recovery-point/verification/candidate.ts'
import { startDueVerifications } from '../../src/recovery-point/verification/start-due-verifications.ts'
import { addLife, type LifeSeed, now, type PointSeed } from './lifecycle.ts'

export const day = 86_400_000

/** A point that nothing is known of but when it was made. */
export function candidate(createdAt: Date, changes: Partial<VerificationCandidate> = {}): VerificationCandidate {
  return {
    id: randomUUID(),
    state: 'AVAILABLE',
    proof: 'READ_BACK',
    createdAt,
    provenAt: createdAt,
    lastReadAt: null,
    decodedAt: null,
    restoredAt: null,
    damageLevel: null,
    verificationTriedAt: null,
    verificationTriedLevel: null,
    verificationTries: 0,
    isPending: false,
    ...changes,
  }
}

/** Points made so many days ago, kept for long. */
export function pointsMade(...daysAgo: number[]): PointSeed[] {
  return daysAgo.map((madeDaysAgo) => ({ madeDaysAgo, endsInDays: 1_000 }))
}

/** An instance whose turn to be looked at has come, under a policy with such rules. */
export async function addWatched(
  database: Database,
  verification: ProofRules['verification'],
  seed: LifeSeed = {},
): Promise<BackupInstance> {
  const instance = await addLife(database, { ...seed, instance: { verificationDueAt: now, ...seed.instance } })
  await database.update(policyVersions).set({ verification }).where(eq(policyVersions.policyId, instance.policyId))
  return instance
}

/** Looks round after round, as the clock does, until a round has nothing to look at. */
export async function lookAt(database: Database, at: Date, atMost = 100): Promise<number> {
  const { looked, started } = await startDueVerifications(database, { now: at, atMost })
  return looked === 0 ? started : started + (await lookAt(database, at, atMost))
}

/** The verifications that wait, in the order in which they were asked for, with how far each goes. */
export async function waiting(database: Database): Promise<{ job: JobRow; pointId: string; level: string }[]> {
  const rows = await database
    .select()
    .from(jobs)
    .where(and(eq(jobs.operation, 'VERIFY'), eq(jobs.status, 'QUEUED')))
    .orderBy(jobs.createdAt, jobs.id)
  return rows.map((job) => ({ job, pointId: job.recoveryPointId ?? '', level: verifyRequestOf(job).level }))
}

/** Has all that wait end: found good, or failed without a finding. */
export async function endAll(database: Database, how: 'PROVEN' | 'FAILED', at: Date): Promise<number> {
  const ended = await waiting(database)
  const status = how === 'PROVEN' ? 'COMPLETED' : 'FAILED'
  await database.transaction(async (tx) => {
    const ids = ended.map(({ job }) => job.id)
    await tx.update(jobs).set({ status, endedAt: at }).where(inArray(jobs.id, ids))
    for (const { job, pointId } of ended) {
      const { level } = verifyRequestOf(job)
      if (how === 'PROVEN') await recordProof(tx, { recoveryPointId: pointId, proof: level, now: at })
    }
  })
  return ended.length
}

/** Has an instance be looked at as soon as the clock does. */
export async function makeDue(database: Database, at: Date): Promise<void> {
  await database
    .update(backupInstances)
    .set({ verificationDueAt: sql`least(verification_due_at, ${at.toISOString()}::timestamptz)` })
}
